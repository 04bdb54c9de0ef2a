//! Runs commands and says which, so that a reader can type them.

use anyhow::{Context, Result, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's folder, where all commands run.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("invariant: this crate is in crates/xtask").to_path_buf()
}

/// The folder that cargo builds into, whatever the environment and the configuration say: this program is in it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let dir = program.ancestors().nth(2).context("this program is not in a target folder")?;
    // Shown to the reader: short where it can be.
    Ok(dir.strip_prefix(root()).unwrap_or(dir).to_path_buf())
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Shows a command and runs it; its output goes where this program's goes.
pub(crate) fn run(program: &Path, args: &[&str]) -> Result<()> {
    run_with(program, args, &[])
}

/// As [`run`], with variables added to the environment.
pub(crate) fn run_with(program: &Path, args: &[&str], variables: &[(&str, OsString)]) -> Result<()> {
    let variables = variables.iter().map(|(name, value)| (name, value));
    let status = command(program, args).envs(variables).status().with_context(|| unknown(program))?;
    ensure!(status.success(), "'{}' failed ({status})", line(program, args));
    Ok(())
}

/// Shows a command, runs it and returns what it printed.
pub(crate) fn read(program: &Path, args: &[&str]) -> Result<String> {
    let output =
        command(program, args).stderr(Stdio::inherit()).output().with_context(|| unknown(program))?;
    ensure!(output.status.success(), "'{}' failed ({})", line(program, args), output.status);
    String::from_utf8(output.stdout).context("the output is not UTF-8")
}

fn command(program: &Path, args: &[&str]) -> Command {
    println!("$ {}", line(program, args));
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

fn unknown(program: &Path) -> String {
    format!("cannot run {}", program.display())
}

/// The command as it would be typed.
fn line(program: &Path, args: &[&str]) -> String {
    let program = match program.file_name() {
        Some(name) if program == cargo() => name.to_string_lossy(),
        _ => program.to_string_lossy(),
    };
    let quoted = args.iter().map(|arg| match arg.contains(' ') {
        true => format!("'{arg}'"),
        false => (*arg).to_owned(),
    });
    std::iter::once(program.into_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}
