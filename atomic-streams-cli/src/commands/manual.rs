//! `completions` and `man`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Args, ManArgs};
use crate::exit::{Exit, Failure};
use crate::view::Raw;

pub fn completions(shell: Shell) -> Raw {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "atomic-streams", &mut script);
    Raw(String::from_utf8_lossy(&script).into_owned())
}

pub fn manual(args: &ManArgs) -> Result<Raw, Failure> {
    let command = Args::command();
    let Some(folder) = &args.dir else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(command).render(&mut page);
        rendered.map_err(|error| Failure::new(Exit::Failed, format!("the manual page: {error}")))?;
        return Ok(Raw(String::from_utf8_lossy(&page).into_owned()));
    };
    clap_mangen::generate_to(command, folder).map_err(|error| {
        let words =
            format!("the manual pages cannot be written into {}: {error}; make the folder first", folder.display());
        Failure::new(Exit::Failed, words)
    })?;
    Ok(Raw::default())
}
