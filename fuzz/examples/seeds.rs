//! Writes the seeds of each target, and its words as a dictionary, to the folders of cargo-fuzz.

use std::{fmt::Write as _, fs, io};

use tower_jwt_sessions_fuzz::{Beginning, beginnings};

fn main() -> io::Result<()> {
    for Beginning { target, seeds, words } in beginnings() {
        let corpus = format!("{}/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        fs::create_dir_all(&corpus)?;
        for (n, seed) in seeds.iter().enumerate() {
            fs::write(format!("{corpus}/seed-{n:03}"), seed)?;
        }
        let mut dictionary = String::new();
        // libFuzzer truncates longer words.
        for word in words.iter().filter(|word| word.len() <= 64) {
            let word: String = word.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "\\x{byte:02x}");
                text
            });
            let _ = writeln!(dictionary, "\"{word}\"");
        }
        fs::write(format!("{corpus}.dict"), dictionary)?;
        println!("{corpus}: {} seeds", seeds.len());
    }
    Ok(())
}
