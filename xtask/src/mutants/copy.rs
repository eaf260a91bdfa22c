//! A copy of the project with all mutants in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Package;
use super::list::Mutant;
use super::plant::{self, Planted};
use crate::simulate::copy_project;

/// Which pairs are left out: to build them takes longer than all else, and they play the same.
const PAIRS: &str = "tests/suite/stage/pairs.rs";
const SECOND_PAIR: &str = "        mod memory_on_tokio {";
const LAST_PAIR_END: &str = "    };\n}\n";

/// Each round leaves out what the compiler refuses; what it says depends on what it got to.
const ROUNDS: usize = 20;

/// It stays for the next time.
pub(super) struct Copy {
    root: PathBuf,
    dir: PathBuf,
    build: PathBuf,
}

impl Copy {
    pub(super) fn new(root: &Path) -> Result<Self, String> {
        let place = root.join("target/mutants");
        let (dir, build) = (place.join("copy"), place.join("build"));
        let copy = Self { root: root.to_owned(), dir, build };
        copy_project(root, &copy.dir)?;
        let pairs = copy.read(PAIRS)?;
        let fewer = pairs.split_once(SECOND_PAIR).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(LAST_PAIR_END)?;
            Some(format!("{before}{LAST_PAIR_END}{after}"))
        });
        copy.write(PAIRS, &fewer.ok_or_else(|| format!("{PAIRS} has no pairs to leave out"))?)?;
        Ok(copy)
    }

    /// Plants all that compile; gives which these are.
    pub(super) fn plant(
        &self,
        package: &Package,
        mutants: &[Mutant],
    ) -> Result<BTreeSet<usize>, String> {
        let library = Path::new(package.dir).join("src/lib.rs").display().to_string();
        let mut files: BTreeMap<&str, Vec<(usize, &Mutant)>> = BTreeMap::new();
        for (id, mutant) in mutants.iter().enumerate() {
            files.entry(&mutant.file).or_default().push((id, mutant));
        }
        let mut left: BTreeSet<usize> = (0..mutants.len()).collect();
        for _ in 0..ROUNDS {
            let mut planted = HashMap::new();
            for (file, all) in &mut files {
                all.retain(|(id, _)| left.contains(id));
                let source = self.original(file)?;
                let text =
                    plant::plant(&source, all).map_err(|error| format!("{file}: {error}"))?;
                self.write(file, &text.text)?;
                planted.insert((*file).to_owned(), text);
            }
            let switched = [plant::LENIENT, &self.original(&library)?, plant::SWITCH].concat();
            self.write(&library, &switched)?;
            left = planted.values().flat_map(Planted::ids).collect();
            let refused = self.refused(package, &planted)?;
            if refused.is_empty() {
                return Ok(left);
            }
            left.retain(|id| !refused.contains(id));
        }
        Err(format!("{} does not compile after {ROUNDS} rounds", package.name))
    }

    /// The mutants that the compiler refuses.
    fn refused(
        &self,
        package: &Package,
        planted: &HashMap<String, Planted>,
    ) -> Result<BTreeSet<usize>, String> {
        let output = self.cargo(&["check", "--lib"], package)?;
        let mut refused = BTreeSet::new();
        for message in messages(&output) {
            let message = &message["message"];
            if message["level"] != "error" {
                continue;
            }
            let spans = message["spans"].as_array().into_iter().flatten();
            let mut places = spans.filter_map(|span| {
                let byte = |name: &str| usize::try_from(span[name].as_u64()?).ok();
                let bytes = byte("byte_start")?..byte("byte_end")?;
                Some((planted.get(span["file_name"].as_str()?)?, bytes))
            });
            let mut culprits: Vec<usize> =
                places.clone().flat_map(|(file, bytes)| file.at(&bytes)).collect();
            if culprits.is_empty() {
                culprits.extend(places.find_map(|(file, bytes)| file.around(&bytes)));
            }
            refused.extend(culprits);
        }
        if refused.is_empty() && !output.status.success() {
            return Err(log(&output));
        }
        Ok(refused)
    }

    /// Builds its tests.
    pub(super) fn build(&self, package: &Package) -> Result<Vec<PathBuf>, String> {
        let output = self.cargo(&[&["test", "--no-run"], package.tests].concat(), package)?;
        if !output.status.success() {
            return Err(log(&output));
        }
        let messages = messages(&output);
        let built = messages.iter().filter(|message| message["profile"]["test"] == true);
        Ok(built.filter_map(|message| Some(message["executable"].as_str()?.into())).collect())
    }

    /// Fast to run, and quick to build again.
    fn cargo(&self, args: &[&str], package: &Package) -> Result<Output, String> {
        Command::new(env!("CARGO"))
            .current_dir(&self.dir)
            .args(args)
            .args(["--package", package.name, "--all-features", "--message-format", "json"])
            .env("CARGO_TARGET_DIR", &self.build)
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env_remove("RUSTFLAGS")
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("cargo: {error}"))
    }

    fn original(&self, file: &str) -> Result<String, String> {
        fs::read_to_string(self.root.join(file)).map_err(|error| format!("{file}: {error}"))
    }

    fn read(&self, file: &str) -> Result<String, String> {
        fs::read_to_string(self.dir.join(file)).map_err(|error| format!("{file}: {error}"))
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        fs::write(self.dir.join(file), text).map_err(|error| format!("{file}: {error}"))
    }
}

/// What cargo and the compiler tell of errors.
fn log(output: &Output) -> String {
    let messages = messages(output);
    let messages = messages.iter().map(|message| &message["message"]);
    let errors = messages.filter(|message| message["level"] == "error");
    let told: String = errors.filter_map(|error| error["rendered"].as_str()).collect();
    told + &String::from_utf8_lossy(&output.stderr)
}

/// What cargo says of each thing.
fn messages(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
