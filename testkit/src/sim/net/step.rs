//! What a request is for, read from the shape of its arguments: the oracles and the table of
//! coverage must not depend on what the library says about itself.

use leasehold::store::redis::Purpose;

/// A step of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs, reason = "`word` says what each is")]
pub enum Step {
    Connect,
    Acquire,
    Heartbeat,
    Renew,
    Release,
    Bury,
    Evict,
    Inspect,
    Push,
    Waiting,
    Holding,
    Idle,
}

impl Step {
    /// All steps.
    pub const ALL: [Self; 12] = [
        Self::Connect,
        Self::Acquire,
        Self::Heartbeat,
        Self::Renew,
        Self::Release,
        Self::Bury,
        Self::Evict,
        Self::Inspect,
        Self::Push,
        Self::Waiting,
        Self::Holding,
        Self::Idle,
    ];

    /// A word for the head of a column.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Acquire => "acquire",
            Self::Heartbeat => "heartbt",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Bury => "bury",
            Self::Evict => "evict",
            Self::Inspect => "inspect",
            Self::Push => "push",
            Self::Waiting => "waiting",
            Self::Holding => "holding",
            Self::Idle => "idle",
        }
    }
}

/// A request, understood.
#[derive(Clone, Debug)]
pub(crate) struct Meant {
    pub(crate) step: Step,
    pub(crate) tokens: Vec<Vec<u8>>,
    /// Those that get a tombstone: releases with and without travel together.
    pub(crate) buried: Vec<Vec<u8>>,
    /// The keys of each lock, as many as tokens.
    pub(crate) keys: Vec<Vec<Vec<u8>>>,
    /// All or none.
    pub(crate) together: bool,
}

/// The keys of one lock in a request, and where several are asked for or given back alike.
const KEYS: usize = 4;
const LEAN: usize = 2;

/// What asks on the same terms share, and where each has its token.
const TERMS: usize = 3;
const TOKEN: std::ops::Range<usize> = 13..45;

/// What a request is for. A heartbeat looks like an acquire.
pub(crate) fn meaning(args: &[Vec<u8>], purpose: Purpose) -> Meant {
    let script = args.first().is_some_and(|name| name.to_ascii_uppercase().starts_with(b"EVAL"));
    let count = args.get(2).and_then(|text| std::str::from_utf8(text).ok()?.parse::<usize>().ok());
    let (true, Some(count)) = (script, count) else {
        let (tokens, buried, keys) = (Vec::new(), Vec::new(), Vec::new());
        return Meant { step: Step::Connect, tokens, buried, keys, together: false };
    };
    let argv = args.get(3 + count..).unwrap_or_default();
    let is_token = |arg: &&Vec<u8>| arg.len() == 32 && arg.iter().all(u8::is_ascii_hexdigit);
    let mut tokens: Vec<Vec<u8>> = argv.iter().filter(is_token).cloned().collect();
    // Asks on the same terms have theirs within a word each, behind three that all share.
    let shared = argv.len() > TERMS && tokens.is_empty() && argv.len() - TERMS == count / KEYS;
    if shared {
        let within = argv[TERMS..].iter().filter_map(|word| word.get(TOKEN).map(<[u8]>::to_vec));
        tokens = within.filter(|word| is_token(&word)).collect();
    }
    // A look at who waits has their tokens, after a number that is none of ms.
    let looks = argv.len() == 1 + tokens.len() && matches!(argv[0].len(), 1..=3);
    if looks {
        tokens.clear();
    }
    let lean = !tokens.is_empty() && LEAN * tokens.len() == count;
    let of_pairs = !lean && !shared && !tokens.is_empty() && argv.len() == 2 * tokens.len();
    let is_release = of_pairs || (lean && argv.len() == tokens.len());
    let pairs = argv.chunks_exact(2).filter(|pair| of_pairs && !pair[0].is_empty());
    let buried: Vec<Vec<u8>> = pairs.map(|pair| pair[1].clone()).collect();
    let step = match argv {
        _ if purpose == Purpose::Renewal => Step::Renew,
        _ if is_release && buried.is_empty() => Step::Release,
        _ if is_release => Step::Bury,
        _ if !tokens.is_empty() => Step::Acquire,
        [only] if only.is_empty() || only.len() > 6 => Step::Evict,
        _ => Step::Inspect,
    };
    let of_each = if lean { LEAN } else { KEYS };
    let keys = match tokens.len() * of_each == count {
        true => args[3..3 + count].chunks_exact(of_each).map(<[Vec<u8>]>::to_vec).collect(),
        false => Vec::new(),
    };
    let together =
        step == Step::Acquire && (lean || (!shared && argv.len() == 5 * tokens.len() + 1));
    Meant { step, tokens, buried, keys, together }
}
