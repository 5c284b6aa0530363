//! A node in 16 bytes.

use crate::world::{ADDRESSES, Age, Agent, Answer, Node, Object, PREFIXES, Scope};

/// A node whose numbers are small, as [`crate::normal`] makes them.
pub type Packed = u128;

pub fn pack(node: &Node) -> Packed {
    let mut bits = Writer { packed: 0, used: 0 };
    fields(&mut node.clone(), &mut bits);
    assert!(bits.used <= Packed::BITS, "{} bits", bits.used);
    bits.packed
}

pub fn unpack(packed: Packed) -> Node {
    let mut node = Node::new();
    fields(&mut node, &mut Reader(packed));
    node.agent.journal.held = node.pods;
    node.agent.journal.vacant = node.freed;
    node
}

/// What reads or writes a number of so many bits.
trait Bits {
    fn number(&mut self, number: &mut u8, bits: u32);
}

struct Writer {
    packed: Packed,
    used: u32,
}

impl Bits for Writer {
    fn number(&mut self, number: &mut u8, bits: u32) {
        assert!(u32::from(*number) < 1 << bits, "{number} has more than {bits} bits");
        self.packed |= Packed::from(*number) << self.used;
        self.used += bits;
    }
}

struct Reader(Packed);

impl Bits for Reader {
    fn number(&mut self, number: &mut u8, bits: u32) {
        *number = (self.0 & ((1 << bits) - 1)) as u8;
        self.0 >>= bits;
    }
}

/// Epochs in a world at once, with the gaps between them.
const EPOCH: u32 = 5;
const MASK: u32 = PREFIXES as u32;
const INCARNATION: u32 = 2;

fn fields(node: &mut Node, bits: &mut impl Bits) {
    bits.number(&mut node.ec2, MASK);
    node.looks.iter_mut().for_each(|looks| bits.number(looks, 1 << MASK));
    node.underway.iter_mut().for_each(|mask| bits.number(mask, MASK));
    object(&mut node.object, bits);
    node.object.ask.released.iter_mut().for_each(|at| age(at, bits));
    age(&mut node.object.ask.adopted, bits);
    bits.number(&mut node.incarnation, INCARNATION);
    some(&mut node.older, bits, |(older, incarnation), bits| {
        object(older, bits);
        bits.number(incarnation, INCARNATION);
    });
    agent(&mut node.agent, bits);
    bits.number(&mut node.pods, ADDRESSES as u32);
    node.freed.iter_mut().for_each(|at| age(at, bits));
}

/// An object, without what only operators read, since they read no older one.
fn object(object: &mut Object, bits: &mut impl Bits) {
    bits.number(&mut object.ask.epoch, EPOCH);
    bits.number(&mut object.ask.prefixes, MASK);
    some(&mut object.answer, bits, answer);
    bits.number(&mut object.listed, MASK);
}

/// Without what the journal knows of addresses: it is what pods have and had.
fn agent(agent: &mut Agent, bits: &mut impl Bits) {
    bits.number(&mut agent.journal.epoch, EPOCH);
    agent.journal.drains.iter_mut().for_each(|epoch| bits.number(epoch, EPOCH));
    bits.number(&mut agent.uses, MASK);
    bits.number(&mut agent.seen, INCARNATION);
    some(&mut agent.answer, bits, answer);
    some(&mut agent.said, bits, answer);
}

fn answer<B: Bits>(answer: &mut Answer, bits: &mut B) {
    bits.number(&mut answer.epoch, EPOCH);
    bits.number(&mut answer.prefixes, MASK);
}

fn age(age: &mut Age, bits: &mut impl Bits) {
    let mut number = age.0.min(3);
    bits.number(&mut number, 2);
    *age = if number == 3 { Age::NEVER } else { Age(number) };
}

fn some<T: Default, B: Bits>(value: &mut Option<T>, bits: &mut B, of: impl FnOnce(&mut T, &mut B)) {
    let mut is = value.is_some().into();
    bits.number(&mut is, 1);
    *value = (is == 1).then(|| value.take().unwrap_or_default());
    if let Some(value) = value {
        of(value, bits);
    }
}

/// Changes some of the numbers by lot.
struct Shaker<'a>(&'a mut fastrand::Rng);

impl Bits for Shaker<'_> {
    fn number(&mut self, number: &mut u8, bits: u32) {
        if self.0.u8(..12) == 0 {
            *number = self.0.u8(..) & ((1 << bits) - 1) as u8;
        }
    }
}

/// A node that differs in some of its numbers, and may be none that can be.
pub fn shaken(node: &Node, lots: &mut fastrand::Rng, scope: Scope) -> Node {
    let mut node = *node;
    fields(&mut node, &mut Shaker(lots));
    for address in (0..ADDRESSES).filter(|address| address % 2 >= scope.size) {
        node.pods &= !(1 << address);
        node.freed[address] = Age::NEVER;
    }
    node.agent.journal.held = node.pods;
    node.agent.journal.vacant = node.freed;
    node
}
