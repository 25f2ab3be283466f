//! `demo-load`: a load generator that counts every failure.

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pointsman_demo::load::{self, Ask, End, Latency, LoadOptions, Pace, Report, Running, Template, Trust};
use pointsman_demo::span;

const EXAMPLES: &str = "\
Examples:
  Ten seconds, 64 connections, as fast as the server answers:
    demo-load http://127.0.0.1:8080/orders --connections 64 --duration 10s
  5,000 requests a second, customers 0 to 99, latency from when each was due:
    demo-load http://127.0.0.1:8080/orders --rate 5000 --header 'x-customer-id: {n%100}'
  Nine reads to one write, each request unique, the report as JSON:
    demo-load http://127.0.0.1:8080 --ask '9*GET /orders' --ask '1*POST /orders' \\
      --header 'x-request-unique: {run}-{n}' --body '{\"clOrdID\":\"{run}-{n}\"}' --json -
  Over TLS, to a server whose certificate one of those in this file vouches for:
    demo-load https://127.0.0.1:8443/orders --ca authorities.pem

Templates: {n} the request's number from 0, {n%K} the same modulo K, {c} the connection's number, {run} the run's name.
Exit code: 0 if nothing failed, 1 if something did, 2 if the load could not be started.";

/// Sends HTTP/1.1 requests and counts what comes back, every failure under its kind.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Where to: http://HOST:PORT/PATH or https://HOST:PORT/PATH
    url: String,
    /// Connections, each with one request under way at a time
    #[arg(short, long, default_value_t = 8)]
    connections: usize,
    /// End after this long (10s if neither this nor --requests is given)
    #[arg(short, long, value_parser = span::parse, conflicts_with = "requests")]
    duration: Option<Duration>,
    /// End after this many requests
    #[arg(short = 'n', long)]
    requests: Option<u64>,
    /// Requests due each second; without it each connection sends as soon as it was answered
    #[arg(short, long)]
    rate: Option<f64>,
    /// What to ask, as '[SHARE*]METHOD PATH'; may be given several times (default: GET and the URL's path)
    #[arg(long, value_name = "ASK")]
    ask: Vec<String>,
    /// A header of every request, as 'name: template'; may be given several times
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Body of POST, PUT and PATCH: a template
    #[arg(long, conflicts_with = "body_size")]
    body: Option<String>,
    /// Body of POST, PUT and PATCH: so many bytes of filling
    #[arg(long, value_name = "BYTES")]
    body_size: Option<usize>,
    /// A request that takes longer has failed
    #[arg(long, default_value = "10s", value_parser = span::parse)]
    timeout: Duration,
    /// A connection for each request
    #[arg(long)]
    no_keep_alive: bool,
    /// With https: certificates (PEM) that vouch for the server's, or the server's own
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// What {run} stands for (default: the process id)
    #[arg(long)]
    run: Option<String>,
    /// Write the report as JSON to this file, `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json.clone();
    let report = options(arguments).and_then(|options| run(options).map_err(|problem| problem.to_string()));
    let written = report.and_then(|report| show(&report, json.as_deref()).map(|()| report.failed));
    match written {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("demo-load: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run(options: LoadOptions) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = load::start(options)?;
        tokio::select! {
            () = progress(&running), if std::io::stderr().is_terminal() => {}
            () = running.reached(u64::MAX) => {}
            _ = tokio::signal::ctrl_c() => running.stop(),
        }
        Ok(running.finish().await)
    })
}

/// One line on the terminal, twice a second, for as long as it is polled.
async fn progress(running: &Running) {
    let mut before = running.counts().done;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = running.counts();
        let mut out = std::io::stderr().lock();
        // A terminal that cannot be written to is no reason to stop the load.
        let _ = write!(out, "\r{} done, {} failed, {}/s   ", now.done, now.failed, (now.done - before) * 2);
        let _ = out.flush();
        before = now.done;
    }
}

fn show(report: &Report, json: Option<&std::path::Path>) -> Result<(), String> {
    let text = || serde_json::to_string_pretty(report).map_err(|problem| problem.to_string());
    match json {
        Some(path) if path.as_os_str() == "-" => println!("{}", text()?),
        Some(path) => std::fs::write(path, text()?).map_err(|problem| format!("{}: {problem}", path.display()))?,
        None => print(report),
    }
    Ok(())
}

fn print(report: &Report) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
    println!(
        "{} requests in {:.2} s, {:.0} answered a second, {} failed, {} connections",
        report.requests, report.seconds, report.per_second, report.failed, report.connections
    );
    let line = |name: &str, of: &Latency| {
        let Latency { p50, p90, p99, p999, max, .. } = of;
        println!("{name} us   p50 {p50}   p90 {p90}   p99 {p99}   p99.9 {p999}   max {max}");
    };
    line("latency ", &report.latency);
    if report.lateness.max > 0.0 {
        line("lateness", &report.lateness);
    }
    for (status, count) in &report.statuses {
        println!("status {status}   {count}");
    }
    for (node, count) in &report.nodes {
        println!("node {node}   {count}");
    }
    if report.failed > 0 {
        let load::Failures { connect, reset, closed, timeout, short, malformed, status, misrouted, unsent } =
            report.failures;
        println!(
            "failed: connect {connect}, reset {reset}, closed {closed}, timeout {timeout}, short {short}, \
             malformed {malformed}, status {status}, misrouted {misrouted}, unsent {unsent}"
        );
        for sample in report.samples.iter().take(5) {
            println!("  request {} after {:.0} ms: {}", sample.request, sample.at_ms, sample.what);
        }
    }
}

fn options(arguments: Arguments) -> Result<LoadOptions, String> {
    let (secure, authority, path) = split(&arguments.url)?;
    let mut options = LoadOptions::new(address(authority, if secure { 443 } else { 80 })?);
    options.tls = match (secure, &arguments.ca) {
        (false, _) => None,
        (true, Some(file)) => Some(Trust::read(file, host(authority))?),
        (true, None) => return Err("https needs --ca FILE: the certificates that vouch for the server's".into()),
    };
    options.host = Some(authority.to_owned());
    options.mix = if arguments.ask.is_empty() {
        vec![Ask { share: 1, method: "GET".into(), target: template(path)? }]
    } else {
        arguments.ask.iter().map(|text| ask(text)).collect::<Result<_, _>>()?
    };
    for header in &arguments.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| format!("`{header}` is not `name: value`"))?;
        options.headers.push((name.trim().to_owned(), template(value.trim())?));
    }
    if let Some(body) = &arguments.body {
        options.body = template(body)?;
    } else if let Some(bytes) = arguments.body_size {
        options.body = Template::filling(bytes);
    }
    options.connections = arguments.connections;
    options.pace = arguments.rate.map_or(Pace::Closed, Pace::Rate);
    options.end = match (arguments.requests, arguments.duration) {
        (Some(requests), _) => End::Requests(requests),
        (None, span) => End::After(span.unwrap_or(Duration::from_secs(10))),
    };
    options.timeout = arguments.timeout;
    options.keep_alive = !arguments.no_keep_alive;
    if let Some(run) = arguments.run {
        options.run = run;
    }
    Ok(options)
}

/// Whether it is https, host and port, path.
fn split(url: &str) -> Result<(bool, &str, &str), String> {
    let (secure, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err(format!("`{url}`: write it as http://HOST:PORT/PATH or https://HOST:PORT/PATH")),
    };
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    Ok((secure, authority, path))
}

/// The host without its port, and without the brackets of an IPv6 address.
fn host(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

fn address(authority: &str, port: u16) -> Result<SocketAddr, String> {
    let has_port = authority.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    let with_port = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
    let mut found = with_port.to_socket_addrs().map_err(|problem| format!("{authority}: {problem}"))?;
    found.next().ok_or_else(|| format!("{authority} has no address"))
}

fn ask(text: &str) -> Result<Ask, String> {
    let problem = || format!("`{text}`: write it as '[SHARE*]METHOD PATH', as in '9*GET /orders'");
    let (share, rest) = match text.split_once('*') {
        Some((share, rest)) if share.bytes().all(|byte| byte.is_ascii_digit()) => {
            (share.parse().map_err(|_| problem())?, rest)
        }
        _ => (1, text),
    };
    let (method, target) = rest.split_once(' ').ok_or_else(problem)?;
    Ok(Ask { share, method: method.to_owned(), target: template(target.trim())? })
}

fn template(text: &str) -> Result<Template, String> {
    Template::parse(text).map_err(|problem| problem.to_string())
}
