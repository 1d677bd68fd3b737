//! Writes the seeds of every target, and its words as a dictionary, to where cargo-fuzz looks for them.

use std::{fmt::Write as _, fs, io};

use tower_jwt_sessions_fuzz::{cookie_header, token};

fn main() -> io::Result<()> {
    for (name, target) in [("token", token::TARGET), ("cookie_header", cookie_header::TARGET)] {
        let corpus = format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        fs::create_dir_all(&corpus)?;
        let seeds = (target.seeds)();
        for (n, seed) in seeds.iter().enumerate() {
            fs::write(format!("{corpus}/seed-{n:03}"), seed)?;
        }
        let mut words = String::new();
        // Longer words are cut off by libFuzzer.
        for word in (target.words)().iter().filter(|word| word.len() <= 64) {
            let word: String = word.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "\\x{byte:02x}");
                text
            });
            let _ = writeln!(words, "\"{word}\"");
        }
        fs::write(format!("{corpus}.dict"), words)?;
        println!("{corpus}: {} seeds", seeds.len());
    }
    Ok(())
}
