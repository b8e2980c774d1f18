//! The corpus of the fuzz targets, and some thousand random changes of it, on the stable compiler.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use support::{Rng, seed};

use crate::seeds;
use crate::targets::{TARGETS, Target};

/// Changes of the corpus that each target sees.
const MUTATIONS: usize = 4_000;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Everything in a target's corpus, in an order that does not depend on the disk.
fn corpus((target, _): Target) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 9, "the corpus of {target} is too small");
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Shows the bytes if what is done with them panics.
struct Shown<'a>(&'static str, &'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let bytes = self.1.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
            eprintln!("the target `{}` failed with these bytes: {bytes}", self.0);
        }
    }
}

fn run((name, target): Target, bytes: &[u8]) {
    let _shown = Shown(name, bytes);
    target(bytes);
}

/// `ATOMIC_STREAMS_WRITE_CORPUS=1` writes it.
#[test]
fn the_hand_made_part_of_the_corpus_is_what_its_generator_makes() {
    for (target, name, bytes) in seeds::seeds() {
        let file = folder(target).join(name);
        if std::env::var_os("ATOMIC_STREAMS_WRITE_CORPUS").is_some() {
            fs::create_dir_all(folder(target)).unwrap();
            fs::write(&file, &bytes).unwrap();
        }
        assert!(fs::read(&file).is_ok_and(|found| found == bytes), "{} is another one", file.display());
    }
}

#[test]
fn every_target_bears_its_corpus() {
    for target in TARGETS {
        for bytes in corpus(target) {
            run(target, &bytes);
        }
    }
}

#[test]
fn every_target_bears_random_changes_of_its_corpus() {
    let mut rng = Rng::new(seed());
    for target in TARGETS {
        let corpus = corpus(target);
        for _ in 0..MUTATIONS {
            let mut bytes = rng.pick(&corpus).clone();
            for _ in 0..=rng.below(4) {
                change(&mut rng, &corpus, &mut bytes);
            }
            run(target, &bytes);
        }
    }
}

/// Bytes that mean something to one of the formats.
const TELLING: &[u8] = b"\0\x01\x7f\x80\x81\x8f\x90\x91\x9f\xa0\xa1\xc0\xc1\xc2\xc3\xc4\xc7\xca\xcb\xcf\xd3\xd7\xd9\xdb\xdd\xdf\xe0\xff*$:-%\r\n{}[]\",0159.eE";

fn change(rng: &mut Rng, corpus: &[Vec<u8>], bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len() as u64 + 1) as usize;
    let end = at + rng.below((bytes.len() - at) as u64 + 1) as usize;
    match rng.below(7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end.min(at + 8))),
        2 => bytes.insert(at, *rng.pick(TELLING)),
        3 if at < bytes.len() => bytes[at] = *rng.pick(TELLING),
        4 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        5 => {
            let copy = bytes[at..end].to_vec();
            let times = 1 + rng.below(8) as usize;
            bytes.splice(at..at, copy.repeat(times).into_iter().take(1 << 12));
        }
        _ => {
            let other = rng.pick(corpus);
            let from = rng.below(other.len() as u64 + 1) as usize;
            bytes.splice(at..end, other[from..].iter().copied());
        }
    }
}
