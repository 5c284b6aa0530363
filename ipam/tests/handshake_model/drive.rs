//! P7: where nothing fails any more and nobody asks for more, a node comes to rest.

use crate::{
    library::{Act, End, Library},
    normal::{normal, wider},
    search::{Reached, alone},
    steps::{Event, Next},
    world::{Node, Scope},
};

/// The next thing that happens where everybody looks at what is, loses nothing and takes turns; nothing at rest.
fn calm(node: &Node, library: &mut Library, scope: Scope, next: &mut Vec<Next>) -> Option<Node> {
    if node.rests(scope) {
        return None;
    }
    alone(node, library, scope, next);
    let agent = |event: &Event, to: &Node| match event {
        Event::Reads { end: Some(End::Answers(_) | End::Nothing), object } => {
            // It reads what it does not know yet.
            let news = to.agent.answer.is_some() && node.agent.answer.is_none();
            let changes = (to.agent.journal, to.agent.uses, to.agent.seen)
                != (node.agent.journal, node.agent.uses, node.agent.seen);
            *object == node.object && to.agent.seen == node.incarnation && (news || changes)
        }
        Event::Answers(_) | Event::Unassigned(_) => true,
        _ => false,
    };
    // What was asked for is still in excess, where it is there.
    let excess = node.object.ask.prefixes & node.ec2;
    let listed = library.lists(node.object, node.ec2, 0);
    let operator = if listed != node.object.listed {
        Event::Lists(listed)
    } else {
        match library.acts(node.object, node.ec2, excess) {
            Act::Writes(ask) => Event::Writes(ask),
            Act::Sends(prefixes) if node.underway[0] & prefixes != prefixes => Event::Sends(prefixes),
            Act::Sends(_) | Act::Nothing => Event::TimePasses,
        }
    };
    let first = |wanted: &dyn Fn(&Event, &Node) -> bool| {
        next.iter().find_map(|next| next.node.ok().filter(|to| wanted(&next.event, to)))
    };
    let to = first(&agent).or_else(|| first(&|event, _| *event == operator));
    let to = to.expect("what an operator does is a step");
    assert_eq!(wider(node, &to, scope), None, "an epoch grows beside an unknown one in {node:?}");
    Some(to)
}

/// A node that comes to no rest, if there is one.
pub fn restless(reached: &Reached, library: &mut Library, scope: Scope) -> Option<Node> {
    let mut comes_to_rest = vec![false; reached.nodes().len()];
    let (mut way, mut next) = (Vec::new(), Vec::new());
    for start in 0..comes_to_rest.len() {
        let mut at = start;
        while !comes_to_rest[at] {
            way.push(at);
            if way.len() > 100 {
                return Some(reached.node(start));
            }
            let Some(to) = calm(&reached.node(at), library, scope, &mut next) else { break };
            at = reached.place(normal(&to, scope)).expect("all steps were searched");
        }
        way.drain(..).for_each(|at| comes_to_rest[at] = true);
    }
    None
}
