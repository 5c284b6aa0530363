use proptest::prelude::*;

use super::*;

/// Everything that a node is: key, value, children.
#[derive(Debug, PartialEq)]
struct Shape {
    key: String,
    value: String,
    /// Where key and value begin. What is not written has no place; parsers differ on where a list begins.
    starts: Option<(u32, u32)>,
    children: Vec<Shape>,
}

fn shape(tree: &Tree<'_>, id: NodeId) -> Shape {
    let node = tree.node(id);
    let value = match &node.value {
        Value::List(_) => "list".to_owned(),
        Value::Map(_) => "map".to_owned(),
        other => format!("{other:?}").replace("Borrowed", "").replace("Owned", ""),
    };
    Shape {
        key: node.key.to_string(),
        starts: (!matches!(node.value, Value::Null | Value::List(_))).then_some((node.key_start, node.start)),
        value,
        children: tree.children(id).map(|child| shape(tree, child)).collect(),
    }
}

fn get<'a>(tree: &'a Tree<'_>, path: &[&str]) -> &'a Value<'a> {
    let id = path.iter().fold(tree.root(), |id, key| match key.parse::<usize>() {
        Ok(number) => tree.children(id).nth(number).unwrap(),
        Err(_) => tree.get(id, key).unwrap(),
    });
    tree.value(id)
}

#[test]
fn nodes_know_their_places() {
    let text = "a:\n  - b: 1\n    c: \"2\"\n  - {d: yes, e: null, \"ä\": ~, f: g}\n";
    let tree = parse(text).unwrap();
    let list = tree.get(tree.root(), "a").unwrap();
    let items: Vec<_> = tree.children(list).collect();
    assert_eq!(tree.place(tree.span(items[0]).0), (2, 5));
    let c = tree.get(items[0], "c").unwrap();
    assert_eq!((tree.place(tree.span(c).0), tree.place(tree.span(c).1)), ((3, 8), (3, 11)));
    assert_eq!(tree.place(tree.key_span(c).0), (3, 5));
    let f = tree.get(items[1], "f").unwrap();
    assert_eq!((tree.place(tree.key_span(f).0), tree.line(tree.span(f).0)), ((4, 31), 4));
    // Backwards too.
    assert_eq!(tree.place(tree.span(items[0]).0), (2, 5));
    assert_eq!(tree.parent(f), (items[1], 3));
    assert_eq!(*get(&tree, &["a", "1", "e"]), Value::Null);
}

#[test]
fn long_lines_have_columns() {
    let text = format!("{{\"é\": [{}], \"z\": 1}}", vec!["\"ä\""; 3000].join(","));
    let tree = parse(&text).unwrap();
    let z = tree.get(tree.root(), "z").unwrap();
    assert_eq!(tree.place(tree.span(z).0), (1, 7 + 3000 * 4 - 1 + 9));
    let first = tree.children(tree.get(tree.root(), "é").unwrap()).next().unwrap();
    assert_eq!(tree.place(tree.span(first).0), (1, 8));
}

#[test]
fn scalars() {
    let text =
        "[y, no, On, true, 1.10, \"1\", 0x10, 1_0, 010, -5, 1e3, .5, ~, +7, 0o17, 1.2.3.4, 2024-01-01, .inf]";
    let kinds: Vec<_> = {
        let tree = parse(text).unwrap();
        tree.children(tree.root()).map(|id| format!("{:?}", tree.value(id))).collect()
    };
    let plain = |text: &str| format!("String({text:?})");
    let expected = [
        plain("y"),
        plain("no"),
        plain("On"),
        "Boolean(true)".into(),
        "Number".into(),
        plain("1"),
        "Integer(16)".into(),
        plain("1_0"),
        "Number".into(),
        "Integer(-5)".into(),
        "Number".into(),
        "Number".into(),
        "Null".into(),
        "Integer(7)".into(),
        "Integer(15)".into(),
        plain("1.2.3.4"),
        plain("2024-01-01"),
        "Number".into(),
    ];
    assert_eq!(kinds, expected);
    let tree = parse("a: !!str 1\nb: !!int \"2\"\nc: !x 3\n").unwrap();
    assert_eq!(*get(&tree, &["a"]), Value::String("1".into()));
    assert_eq!(*get(&tree, &["b"]), Value::Integer(2));
    assert_eq!(*get(&tree, &["c"]), Value::String("3".into()));
}

#[test]
fn json_is_read_quickly_or_not_at_all() {
    let text = "{\n\t\"a\": [1, {\"b\": \"x\\u0041\\n\"}, -0.5e3, 99999999999999999999],\n\t\"c\": true}";
    let tree = json::parse(text).unwrap();
    assert_eq!(*get(&tree, &["a", "1", "b"]), Value::String("xA\n".into()));
    assert_eq!(*get(&tree, &["a", "2"]), Value::Number);
    assert_eq!(*get(&tree, &["a", "3"]), Value::Number);
    for wrong in [
        "{",
        "{}x",
        "[1,]",
        "{\"a\": 1, \"a\": 2}",
        "{a: 1}",
        "[01]",
        "[+1]",
        "[1.]",
        "\"\n\"",
        "[tru]",
        "\"\\x\"",
        "\"\\ud800\"",
        "",
        "[\"a]",
        "{\"a\" 1}",
        "[--1]",
        "[1 2]",
    ] {
        assert!(json::parse(wrong).is_none(), "{wrong}");
    }
    assert!(json::parse(&"[".repeat(100_000)).is_none());
}

#[test]
fn block_style_is_read_quickly_or_not_at_all() {
    for text in [
        "a: b\n",
        "a:\n- b\n- c: d\n  e: f\n",
        "# x\na: 1 # y\n\nb:\n  c:\n",
        "a: {}\nb: []\n",
        "- a\n- b: c\n",
        "a: \"b: c\" # d\nb: 'x'\n",
        "\"k8s:a\": b\n",
        "a:\n  - - b\n",
        "-\n  a: b\n",
        "a: 1\n  \nb: 2",
    ] {
        let quick = block::parse(text).unwrap_or_else(|| panic!("{text}"));
        let whole = yaml::parse(text).unwrap();
        assert_eq!(shape(&quick, quick.root()), shape(&whole, whole.root()), "{text}");
    }
    for text in [
        "",
        "a",
        "a: b\n c\n",
        "a: |\n  b\n",
        "a: &b c\n",
        "a: *b\n",
        "a: !x b\n",
        "a: [b]\n",
        "a: {b: c}\n",
        "a: 'b''c'\n",
        "a: \"b\\n\"\n",
        "a: b: c\n",
        "a: 1\na: 2\n",
        "a:\n\t- b\n",
        "a: ä\n",
        "%YAML 1.2\na: b\n",
        "a: b\n...\n",
        "? a\n: b\n",
        "<<: a\n",
        "a: b\n- c\n",
        "- a\nb: c\n",
        "  a: b\nc: d\n",
        "a: - b\n",
        "a: b\r\n",
        "a: @b\n",
        "a: \"b\" c\n",
        "a: b:\n",
    ] {
        assert!(block::parse(text).is_none(), "{text}");
    }
    let deep: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(block::parse(&deep).is_none());
}

/// Lines that are YAML, or nearly.
fn lines() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just(""),
        Just(" b"),
        Just(" 1"),
        Just(" \"x y\""),
        Just(" 'z'"),
        Just(" {}"),
        Just(" []"),
        Just(" ~"),
        Just(" # c"),
        Just(" b # c"),
        Just(" b#c"),
        Just(" [q]"),
        Just(" -"),
        Just(" - x"),
        Just(" -1"),
        Just(" a: b"),
        Just(" \"x\"# c"),
        Just(" true "),
        Just(" &a b"),
        Just(" |"),
        Just(" >-"),
        Just(" x:y"),
        Just(" ="),
    ];
    let key = prop_oneof![
        Just("a:"),
        Just("b:"),
        Just("\"k:l\":"),
        Just("c.d/e:"),
        Just("-"),
        Just("- a:"),
        Just("- - a:"),
        Just("#"),
        Just(""),
        Just("word"),
        Just("-  a:"),
        Just("---"),
        Just("-a:"),
        Just("'s':")
    ];
    let line = (0usize..5, key, scalar)
        .prop_map(|(indent, key, scalar)| format!("{}{key}{scalar}\n", " ".repeat(indent)));
    proptest::collection::vec(line, 1..8).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// What the quick reader reads, it reads as the whole one does.
    #[test]
    fn block_style_is_yaml(text in lines()) {
        if let Some(quick) = block::parse(&text) {
            let whole = yaml::parse(&text);
            prop_assert!(whole.is_ok(), "{text}\n{:?}", whole.err());
            let whole = whole.unwrap();
            prop_assert_eq!(shape(&quick, quick.root()), shape(&whole, whole.root()), "{}", text);
        }
    }

    /// Nothing makes a reader panic, and what is JSON is the same YAML.
    #[test]
    fn json_is_yaml(value in json_value(), cut in 0usize..40) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let quick = json::parse(&text).unwrap();
        let whole = yaml::parse(&text).unwrap();
        prop_assert_eq!(shape(&quick, quick.root()), shape(&whole, whole.root()), "{}", text);
        let end = (0..=cut.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let _ = parse(&text[..end]);
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        "[a-zA-Z0-9 :#{}\\[\\],\"\\\\/ä\\n]{0,8}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            proptest::collection::hash_map("[a-z:/\" ]{1,4}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
