//! What reaches a terminal. Names, notes and host names are other people's text: a control
//! character in them must not move the cursor, and a direction mark must not reorder a table.

use std::io::{self, Write};

use crate::exit::{Failure, code};

/// Whether a terminal could obey `c`, or hide it.
pub(crate) fn unfit(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// `text` with unfit characters escaped: for messages, which may hold escapes already.
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if unfit(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// A word of a table: as it is where that is plain, else in quotes and escaped, so that no two
/// words look alike and none looks like two columns.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| !unfit(c) && !c.is_whitespace() && c != '"' && c != '\\';
    if !text.is_empty() && text != "-" && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if unfit(c) || (c.is_whitespace() && c != ' ') => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Writes a result to stdout. A reader that went away has seen enough; whether there is one still.
pub(crate) fn out(bytes: &[u8]) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(code::STORE, format!("the output could not be written: {error}")))
        }
        written => Ok(written.is_ok()),
    }
}

/// Says `text`, which is fit for a terminal, on stderr; where there is none, nobody listens.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says `message` on stderr, escaped and with the command's name.
pub(crate) fn complain(message: &str) {
    tell(&format!("leasehold: {}", line(message)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_never_look_alike() {
        for (text, shown) in [
            ("invoice:42", "invoice:42"),
            ("größe", "größe"),
            ("", "\"\""),
            ("-", "\"-\""),
            ("a b", "\"a b\""),
            ("a\nb", "\"a\\nb\""),
            ("a\\nb", "\"a\\\\nb\""),
            ("\u{1b}[2J", "\"\\u{1b}[2J\""),
            ("\u{9b}2J", "\"\\u{9b}2J\""),
            ("a\u{202e}b", "\"a\\u{202e}b\""),
            ("a\u{3000}b", "\"a\\u{3000}b\""),
            ("say \"x\"", "\"say \\\"x\\\"\""),
        ] {
            assert_eq!(word(text), shown);
        }
    }

    #[test]
    fn messages_keep_their_escapes() {
        assert_eq!(line("name \"a\\nb\"\u{7}"), "name \"a\\nb\"\\u{7}");
    }
}
