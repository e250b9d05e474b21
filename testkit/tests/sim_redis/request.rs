//! Requests as text, and random ones from templates, by a seed that is printed.

use leasehold_testkit::SeededRandom;

pub(crate) fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

pub(crate) fn pick<'a, T: ?Sized>(random: &SeededRandom, all: &[&'a T]) -> &'a T {
    all[usize::try_from(random.below(all.len() as u64)).expect("small")]
}

pub(crate) fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed} (SEED={seed} repeats it)");
    seed
}

pub(crate) fn filled(random: &SeededRandom, template: &str) -> Vec<Vec<u8>> {
    let word = |word: &str| -> Vec<u8> {
        let text = match word {
            "K" => pick(random, &["a", "b", "c"]).to_owned(),
            "F" => pick(random, &["f", "g", "h"]).to_owned(),
            "V" => pick(random, &["x", "7", "two words", "", "12.5", "line\r\nend", "\u{e9}"])
                .to_owned(),
            "N" => random.below(5).to_string(),
            "R" => format!("{}", 900_000 + random.below(3)),
            "-N" => format!("-{}", random.below(4)),
            "T" => format!("{}", 4_000_000_000_000 + random.below(3)),
            "S" => pick(random, &["1", "2", "-3", "0.5", "1e20", "inf", "-inf", "1234567.125"])
                .to_owned(),
            "B" => pick(random, &["-inf", "+inf", "1", "(1", "2", "(0.5", "what"]).to_owned(),
            "L" => pick(random, &["-", "+", "[f", "(f", "[g", "h"]).to_owned(),
            other => other.to_owned(),
        };
        text.into_bytes()
    };
    template.split(' ').map(word).collect()
}
