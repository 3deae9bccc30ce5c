//! `chatagram kit`: a directory to start a client of one's own from, in five languages.
//!
//! A kit has the socket, the arguments, the header's codec and a test of it. The protocol is left
//! to the reader. `src/kit/README.md` has the steps, for all languages.

use crate::protocol::{Datagram, DecodeError, Header, encode_message};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;

/// A kit: the files of one language, and its commands.
#[derive(Debug)]
pub struct Kit {
    /// Its name on the command line.
    pub name: &'static str,
    language: &'static str,
    /// What it needs, in words.
    needs: &'static str,
    /// The student's file, the codec and the test.
    places: [&'static str; 3],
    /// The command that builds, or checks.
    build: &'static str,
    /// The command that runs the test.
    test: &'static str,
    /// The command that runs the client, in the kit's directory.
    run: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// A file of a kit: its path there, and its text.
macro_rules! file {
    ($path:literal) => {
        ($path, include_str!(concat!("kit/", $path)))
    };
    ($path:literal from $source:literal) => {
        ($path, include_str!(concat!("kit/", $source)))
    };
}

/// All kits.
pub const KITS: &[Kit] = &[
    Kit {
        name: "python",
        language: "Python",
        needs: "Python 3.9 and `make`",
        places: ["client.py", "codec.py", "test_codec.py"],
        build: "python3 -m py_compile client.py codec.py",
        test: "python3 -m unittest",
        run: "python3 client.py",
        files: &[
            file!("client.py" from "python/client.py"),
            file!("codec.py" from "python/codec.py"),
            file!("test_codec.py" from "python/test_codec.py"),
        ],
    },
    Kit {
        name: "java",
        language: "Java",
        needs: "a JDK 17 and `make`",
        places: ["Client.java", "Codec.java", "CodecTest.java"],
        build: "javac -Xlint:all -Werror -d build *.java",
        test: "java -cp build CodecTest",
        run: "java -XX:TieredStopAtLevel=1 -cp build Client",
        files: &[
            file!("Client.java" from "java/Client.java"),
            file!("Codec.java" from "java/Codec.java"),
            file!("CodecTest.java" from "java/CodecTest.java"),
        ],
    },
    Kit {
        name: "c",
        language: "C",
        needs: "a compiler of C11, a POSIX system and `make`",
        places: ["client.c", "codec.c", "test_codec.c"],
        build: "$(CC) $(CFLAGS) -o client client.c codec.c",
        test: "$(CC) $(CFLAGS) -o test_codec test_codec.c codec.c && ./test_codec",
        run: "./client",
        files: &[
            file!("client.c" from "c/client.c"),
            file!("codec.c" from "c/codec.c"),
            file!("codec.h" from "c/codec.h"),
            file!("test_codec.c" from "c/test_codec.c"),
        ],
    },
    Kit {
        name: "rust",
        language: "Rust",
        needs: "a Rust toolchain and `make`",
        places: ["src/main.rs", "src/codec.rs", "src/codec.rs"],
        build: "cargo build --quiet --offline",
        test: "cargo test --quiet --offline",
        run: "./target/debug/client",
        files: &[
            // A Cargo.toml here would make a package of src/kit/rust, which cargo leaves out.
            file!("Cargo.toml" from "rust/manifest.toml"),
            file!("src/main.rs" from "rust/main.rs"),
            file!("src/codec.rs" from "rust/codec.rs"),
        ],
    },
    Kit {
        name: "javascript",
        language: "JavaScript",
        needs: "Node.js 20 and `make`",
        places: ["client.mjs", "codec.mjs", "codec.test.mjs"],
        build: "node --check client.mjs",
        test: "node --test",
        run: "node client.mjs",
        files: &[
            file!("client.mjs" from "javascript/client.mjs"),
            file!("codec.mjs" from "javascript/codec.mjs"),
            file!("codec.test.mjs" from "javascript/codec.test.mjs"),
        ],
    },
];

const STEPS: &str = include_str!("kit/README.md");
const PROTOCOL: &str = include_str!("../proto.md");
/// The files of test vectors that a kit's vectors are taken from.
const VECTORS: [&str; 5] = [
    include_str!("../tests/vectors/handshake.txt"),
    include_str!("../tests/vectors/frames.txt"),
    include_str!("../tests/vectors/client-messages.txt"),
    include_str!("../tests/vectors/server-messages.txt"),
    include_str!("../tests/vectors/invalid.txt"),
];

/// Why a kit was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is something already.
    #[error("{} is not empty: name a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The system refused.
    #[error("cannot write {}: {cause}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

impl Kit {
    /// The kit of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        KITS.iter().find(|kit| kit.name == name)
    }

    /// Writes the kit to a new or an empty directory.
    ///
    /// # Errors
    /// The directory is not empty, or cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |cause| Error::Io { path, cause }
        };
        fs::create_dir_all(dir).map_err(io(dir))?;
        if fs::read_dir(dir).map_err(io(dir))?.next().is_some() {
            return Err(Error::NotEmpty(dir.to_owned()));
        }
        for (name, text) in self.all_files() {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap_or(dir)).map_err(io(&path))?;
            fs::write(&path, text).map_err(io(&path))?;
        }
        make_executable(&dir.join("run")).map_err(io(&dir.join("run")))
    }

    fn all_files(&self) -> Vec<(&'static str, String)> {
        let given = self.files.iter().map(|(name, text)| (*name, (*text).to_owned()));
        let made = [
            ("README.md", self.readme()),
            ("Makefile", self.makefile()),
            ("run", format!("#!/bin/sh\ncd \"$(dirname \"$0\")\" && exec {} \"$@\"\n", self.run)),
            ("vectors.txt", vectors()),
            ("proto.md", PROTOCOL.to_owned()),
        ];
        given.chain(made).collect()
    }

    fn readme(&self) -> String {
        let [client, codec, test_file] = self.places;
        let words = [
            ("{language}", self.language),
            ("{needs}", self.needs),
            ("{client}", client),
            ("{codec}", codec),
            ("{test_file}", test_file),
            ("{build}", self.build),
            ("{test}", self.test),
        ];
        words.iter().fold(STEPS.to_owned(), |text, (place, word)| text.replace(place, word))
    }

    fn makefile(&self) -> String {
        let flags = if self.name == "c" {
            "CFLAGS = -std=c11 -D_POSIX_C_SOURCE=200809L -O1 -g -Wall -Wextra -Wpedantic\n\n"
        } else {
            ""
        };
        format!(
            "{flags}all:\n\t{}\n\ntest: all\n\t{}\n\ngrade: all\n\tchatagram grade --only part1 \
             --brief -- ./run\n\n.PHONY: all test grade\n",
            self.build, self.test
        )
    }
}

#[cfg(unix)]
fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The vectors that are about headers and integers, one in each line.
fn vectors() -> String {
    let mut out = "# Test vectors of headers and integers. All numbers are hexadecimal.\n\
                   # header FLAGS SESSION SEQUENCE ACKNOWLEDGMENT ACK_BITMAP TIMESTAMP ACK_DELAY \
                   WINDOW DATAGRAM\n\
                   # rejected NAME DATAGRAM: a receiver drops it because of its header\n\
                   # integer VALUE BYTES\n"
        .to_owned();
    for (name, bytes) in VECTORS.iter().copied().flat_map(entries) {
        let hex = hex(&bytes);
        let _ = match Datagram::decode(&bytes).map(|it| it.header) {
            _ if bytes.is_empty() => Ok(()),
            Ok(Header {
                flags,
                session,
                sequence,
                acknowledgment,
                ack_bitmap,
                timestamp,
                ack_delay,
                window,
            }) => writeln!(
                out,
                "header {:x} {session:x} {sequence:x} {acknowledgment:x} {ack_bitmap:x} \
                 {timestamp:x} {ack_delay:x} {window:x} {hex}",
                flags.0
            ),
            // The codec given does not read frames.
            Err(DecodeError::Malformed(_) | DecodeError::NotCanonical(_)) => Ok(()),
            Err(_) => writeln!(out, "rejected {name} {hex}"),
        };
    }
    let edges = [0, 250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
    for value in edges {
        let _ = writeln!(out, "integer {value:x} {}", hex(&encode_message(&value)));
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The entries of a file of vectors: the name and the bytes of each.
fn entries(text: &str) -> Vec<(&str, Vec<u8>)> {
    text.split("\nvector ")
        .skip(1)
        .filter_map(|entry| {
            let (name, rest) = entry.split_once('\n')?;
            let (_, rest) = rest.split_once("bytes\n")?;
            let (digits, _) = rest.split_once("meaning\n")?;
            let digits: Vec<_> = digits.chars().filter_map(|ch| ch.to_digit(16)).collect();
            let bytes = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, it| byte << 4 | it));
            Some((name, bytes.map(|byte| byte as u8).collect()))
        })
        .collect()
}
