//! Inputs made of other inputs: always the same ones, in the same order.

pub(crate) struct Mutator {
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    input: Vec<u8>,
    state: u64,
}

impl Mutator {
    pub(crate) fn new(seeds: Vec<Vec<u8>>, words: Vec<Vec<u8>>) -> Self {
        Self { seeds, words, input: Vec::new(), state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Some seed, rather one of the first, which are good; changed in one to four places, rather in one.
    pub(crate) fn next(&mut self) -> &[u8] {
        let seed = self.below(self.seeds.len()).min(self.below(self.seeds.len())).min(self.below(self.seeds.len()));
        self.input.clone_from(&self.seeds[seed]);
        for _ in 0..=self.below(4).min(self.below(4)) {
            self.change();
        }
        &self.input
    }

    fn change(&mut self) {
        let at = self.below(self.input.len() + 1);
        let end = (at + self.below(8)).min(self.input.len());
        match self.below(8) {
            0 if end > at => self.input[at] ^= 1 << self.below(8),
            1 if end > at => self.input[at] = self.random() as u8,
            2 => drop(self.input.drain(at..end)),
            3 => {
                let copy = self.input[at..end].to_vec();
                let to = self.below(self.input.len() + 1);
                self.input.splice(to..to, copy);
            }
            4 => {
                let other = self.below(self.seeds.len());
                let from = self.below(self.seeds[other].len() + 1);
                self.input.truncate(at);
                self.input.extend_from_slice(&self.seeds[other][from..]);
            }
            5 => {
                let byte = self.random() as u8;
                self.input.insert(at, byte);
            }
            6 => {
                let word = self.below(self.words.len());
                self.input.splice(at..end, self.words[word].iter().copied());
            }
            _ => {
                let word = self.below(self.words.len());
                self.input.splice(at..at, self.words[word].iter().copied());
            }
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.random() % bound.max(1) as u64) as usize
    }

    /// xorshift64*, which needs no crate and no seed of the day.
    fn random(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
