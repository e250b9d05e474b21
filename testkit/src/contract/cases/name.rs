//! Names are bytes: whatever they hold, no two of them are ever one lock (hazards 65, 69 and 76).

use leasehold::Name;
use leasehold::store::Answer;

use crate::contract::case::cases;
use crate::contract::{Case, Scene};

pub(super) const CASES: &[Case] = cases![
    now:
        odd_names_never_alias,
        names_that_look_alike_never_alias,
        many_names_never_alias;
    later:
];

/// Holds all of `names` at once, and demands that each is a lock of its own.
fn apart(scene: &mut Scene<'_>, names: &[String]) {
    let mut held = Vec::new();
    for name in names {
        let ask = scene.ask(name);
        let fence = scene.grant(&ask);
        held.push((ask, fence));
    }
    for (ask, fence) in &held {
        let name = ask.name.as_str();
        let holder = scene.view(name).holder.expect("all are held at once");
        assert_eq!((holder.fence, &holder.profile), (*fence, &ask.profile), "lock {}", ask.name);
        let other = scene.ask(name);
        assert!(matches!(scene.acquire(&other), Answer::Busy { .. }));
    }
    let mut sorted = names.to_vec();
    sorted.sort();
    let limit = u32::try_from(names.len()).expect("few names") + 1;
    assert_eq!(scene.list("", None, limit), sorted, "each name comes back as it was given");
    for (ask, _) in held.iter().rev() {
        scene.release(ask);
        assert_eq!(scene.holder(ask.name.as_str()), None, "lock {}", ask.name);
    }
}

fn odd_names_never_alias(scene: &mut Scene<'_>) {
    let (longest, prefix) = ("x".repeat(Name::MAX_BYTES), "x".repeat(Name::MAX_BYTES - 1));
    let emoji = "🔒".repeat(Name::MAX_BYTES / 4);
    let names = [
        "\0",
        "\0\0",
        "a\0",
        "a\0b",
        "a",
        "\n",
        "a\n",
        "\r\n",
        "\t",
        " ",
        "  ",
        "a ",
        " a",
        "🔒",
        "🔒\u{fe0f}",
        "\u{200b}",
        "\u{202e}abc",
        "\u{feff}",
        "'",
        "\"",
        "''",
        "a'b",
        "\\",
        "\\0",
        "%",
        "%00",
        "_",
        "*",
        "?",
        "{a}",
        "{}",
        "}{",
        "/",
        "//",
        "a/",
        "a/b",
        "..",
        "../a",
        "ab",
        "a:b",
        ";",
        "--",
        "NULL",
        "0",
        "00",
        "\u{10ffff}",
        "\u{7f}",
        "\u{80}",
        "${a}",
        "日本語",
        &longest,
        &prefix,
        &emoji,
    ];
    apart(scene, &names.map(str::to_owned));
}

fn names_that_look_alike_never_alias(scene: &mut Scene<'_>) {
    let names = [
        "case",
        "Case",
        "CASE",
        "straße",
        "STRASSE",
        "strasse",
        "ß",
        "ẞ",
        "ss",
        "i",
        "I",
        "ı",
        "İ",
        "\u{e9}",
        "e\u{301}",
        "\u{c5}",
        "\u{212b}",
        "A\u{30a}",
        "ﬁ",
        "fi",
        "Ａ",
        "A",
        "А",
        "\u{1e69}",
        "s\u{323}\u{307}",
        "s\u{307}\u{323}",
        "①",
        "1",
        "１",
    ];
    apart(scene, &names.map(str::to_owned));
}

fn many_names_never_alias(scene: &mut Scene<'_>) {
    let names: Vec<String> = (0..2000).map(|index| format!("name-{index}")).collect();
    apart(scene, &names);
}
