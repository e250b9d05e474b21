//! Completions and manual: made from the same definitions as the command line, for every shell.

use crate::support::Place;

#[test]
fn every_shell_has_its_completions() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = place.run(["completions", shell]);
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        for word in ["run", "elect", "ls", "show", "completions", "max-hold", "observe", "store"] {
            assert!(ended.text().contains(word), "{shell} lacks {word}");
        }
        assert!(!ended.text().contains("__guard"));
    }
}

#[test]
fn bash_understands_its_completions() {
    let place = Place::new();
    let script = r#"
        eval "$("$LEASEHOLD" completions bash)" || exit 1
        COMP_WORDS=(leasehold r) COMP_CWORD=1
        _leasehold leasehold r leasehold
        echo "${COMPREPLY[*]}""#;
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script]);
    place.settle(&mut command);
    let ended = crate::support::Running::start(command).finish();
    assert_eq!((ended.code(), ended.text()), (Some(0), "run"), "{ended:?}");
}

#[test]
fn every_command_has_its_page() {
    let place = Place::new();
    for (command, title, word) in [
        ("", ".TH leasehold 1", "leasehold\\-run(1)"),
        ("run", ".TH leasehold-run 1", "Exit status"),
        ("elect", ".TH leasehold-elect 1", "value_hex"),
        ("ls", ".TH leasehold-ls 1", "prefix"),
        ("show", ".TH leasehold-show 1", "told_ms"),
        ("ask-back", ".TH leasehold-ask-back 1", "grace"),
        ("evict", ".TH leasehold-evict 1", "fence"),
        ("completions", ".TH leasehold-completions 1", "shell"),
        ("man", ".TH leasehold-man 1", "page"),
    ] {
        let words = if command.is_empty() { vec!["man"] } else { vec!["man", command] };
        let ended = place.run(words);
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        let page = ended.text();
        assert!(page.to_lowercase().contains(&title.to_lowercase()), "{command}: {page}");
        assert!(page.to_lowercase().contains(&word.to_lowercase()), "{command}: {page}");
    }
}
