//! `rollctl man`: one manual page with every command in it.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;

use super::args::Cli;

/// The page, as roff.
///
/// # Errors
/// Never in practice: it is written into memory.
pub fn page() -> io::Result<Vec<u8>> {
    let mut root = Cli::command();
    root.build();
    let man = Man::new(root.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    commands(&root, "", &mut page)?;
    man.render_extra_section(&mut page)?;
    Ok(page)
}

/// Those below a command, and below them.
fn commands(above: &clap::Command, path: &str, page: &mut Vec<u8>) -> io::Result<()> {
    for command in above.get_subcommands().filter(|one| !one.is_hide_set()) {
        let path = format!("{path} {}", command.get_name().to_uppercase());
        one_command(command, &path, page)?;
        commands(command, &path, page)?;
    }
    Ok(())
}

fn one_command(command: &clap::Command, path: &str, page: &mut Vec<u8>) -> io::Result<()> {
    // What every command understands stands once, at the top.
    let man = Man::new(command.clone().mut_args(|arg| {
        if arg.is_global_set() {
            arg.hide(true)
        } else {
            arg
        }
    }));
    let mut section = Vec::new();
    man.render_description_section(&mut section)?;
    man.render_synopsis_section(&mut section)?;
    man.render_options_section(&mut section)?;
    man.render_extra_section(&mut section)?;
    page.extend_from_slice(format!(".SH COMMAND{path}\n").as_bytes());
    // What is a section of a page of its own becomes a subsection of this one.
    for line in String::from_utf8_lossy(&section).lines() {
        match line.strip_prefix(".SH ") {
            Some("DESCRIPTION") => {}
            Some(title) => page.extend_from_slice(format!(".SS {title}\n").as_bytes()),
            None => page.extend_from_slice(format!("{line}\n").as_bytes()),
        }
    }
    Ok(())
}
