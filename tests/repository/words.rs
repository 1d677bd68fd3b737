//! One word for one thing: words that were replaced do not come back.

use std::{fs, path::Path};

/// Words that this project does not use, and what it says instead. Matched as whole words, in any case.
const REPLACED: &[(&str, &str)] = &[
    ("whoever", "the holder, the client, the sender"),
    ("nobody", "no user, no client, no node"),
    ("somebody", "a user, a client, an attacker"),
    ("anybody", "any client"),
    ("everybody", "all users"),
    ("for ever", "indefinitely"),
    ("heard of", "learned of"),
    ("misfit", "invalid claims"),
    ("works again", "recovered"),
    ("stranger", "anonymous"),
    ("LiveCodec", "Codec"),
    ("CookiePlan", "CookieSettings"),
    ("CredentialPlaces", "CredentialSources"),
    ("Unauthenticated::", "VerifyError::"),
    ("FeedStatus::Live", "FeedStatus::UpToDate"),
];

/// Where a word stands because clients depend on it.
const KEPT: &[(&str, &str)] = &[("examples/demo/routes/account.rs", "stranger")];

/// The files that users and contributors read.
fn pages() -> Vec<String> {
    let folders = ["src", "client", "docs", "examples", "README.md", "CONTRIBUTING.md", "SECURITY.md"];
    let mut found = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("a path within").to_string_lossy();
            found.push(name.replace('\\', "/"));
        }
    }
    found
}

/// Whether the text has this word, not as a part of another one.
fn has_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(&word).any(|(at, _)| {
        let begins_within = is_part(text[..at].chars().next_back());
        let goes_on = word.ends_with(char::is_alphanumeric) && is_part(text[at + word.len()..].chars().next());
        !(begins_within || goes_on)
    })
}

#[test]
fn words_are_found_as_whole_words_in_any_case() {
    assert!(has_word("Nobody is here.", "nobody") && has_word("`Unauthenticated::Revoked`", "Unauthenticated::"));
    assert!(!has_word("estranged, strangers", "stranger") && !has_word("SessionRejectionKind::Unauthenticated", "x"));
}

#[test]
fn replaced_words_stand_nowhere() {
    let mut found = Vec::new();
    for page in pages() {
        let Ok(text) = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&page)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for (word, instead) in REPLACED {
                let is_kept = KEPT.contains(&(page.as_str(), word)) || line.contains("SessionRejectionKind::");
                if !is_kept && has_word(line, word) {
                    found.push(format!("{page}:{}: {word}: write {instead}", number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
