//! Runs both ends as separate processes, each on its own processor.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
};

use super::{ends::client, report, terms::failed, usage::Usage};
use crate::{
    args::Perf,
    exit::{Ended, Exit},
    output, platform,
    reach::from_here,
};

/// Starts the server as a child, runs the client, and prints what both used.
pub(super) async fn run(options: &Perf) -> Result<Exit, Ended> {
    let mut server = Server::start(options)?;
    platform::pin(options.cores.1);
    let options = Perf { addr: server.address, ..options.clone() };
    let (server_before, before) = (server.usage()?, Usage::now()?);
    let outcome = client(&options, &mut || server.usage().map(Some)).await?;
    let (server_used, used) = (server.usage()? - server_before, Usage::now()? - before);
    output::say_json(&report::line(&options, &outcome, used, Some(server_used)));
    Ok(Exit::Success)
}

/// The server's process. Dropping this ends it.
struct Server {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    fn start(options: &Perf) -> Result<Self, Ended> {
        let program = env::current_exe().map_err(|error| failed("own program", error))?;
        // The same options, with another role.
        let given = env::args_os().skip_while(|word| word != "pair").skip(1);
        let mut child = Command::new(program)
            .args(["perf", "server"])
            .args(given)
            .arg("--control")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed("server", error))?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("server", "no pipes"));
        };
        let mut server = Self { child, questions, answers: BufReader::new(answers), address: options.addr };
        let line = server.line()?;
        if line.is_empty() {
            // It has printed why, on the shared standard error.
            let status = server.child.wait().ok().and_then(|status| status.code());
            let exit = if status == Some(Exit::Usage.status().into()) { Exit::Usage } else { Exit::Failure };
            return Err(Ended::new(exit, "the server did not begin, for the reason above"));
        }
        let address = line.strip_prefix("READY ").and_then(|address| address.parse().ok());
        server.address = address.ok_or_else(|| failed("server", format!("it said {line:?}")))?;
        server.address = from_here(server.address);
        Ok(server)
    }

    fn line(&mut self) -> Result<String, Ended> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| failed("server", error))?;
        Ok(line.trim().to_owned())
    }

    fn usage(&mut self) -> Result<Usage, Ended> {
        writeln!(self.questions, "usage").map_err(|error| failed("server", error))?;
        let line = self.line()?;
        Usage::from_line(&line).ok_or_else(|| failed("server", format!("it said {line:?}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// At the server: prints its usage for each line of standard input, and ends the process at the end of the
/// input.
pub(super) fn answer_questions() {
    thread::spawn(|| {
        for _question in std::io::stdin().lock().lines().map_while(Result::ok) {
            let told = Usage::now().map_or_else(|error| error.message, Usage::to_line);
            output::say(&(told + "\n"));
        }
        std::process::exit(0);
    });
}
