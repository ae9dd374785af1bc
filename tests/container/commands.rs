//! The commands that examples/iexec and examples/oracle show, each run against the emulated worker.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use crate::checkpoint;
use crate::engine::{IMAGE, network};
use crate::repository;
use crate::server::Server;
use crate::task::assert_done;
use crate::web;
use crate::worker::{Task, Worker};

const PAGE: &str = "examples/iexec/README.md";

/// The commands in the code blocks of a section of `page` that begin with `word`.
fn commands(page: &str, section: &str, word: &str) -> Vec<String> {
    let page = fs::read_to_string(repository(page)).unwrap();
    let (_, text) = page
        .split_once(&format!("\n## {section}\n"))
        .expect("the page has the section");
    let text = text.split("\n## ").next().unwrap().replace("\\\n", " ");
    let blocks = text
        .split("```sh\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap().to_owned());
    let lines: Vec<_> = blocks
        .flat_map(|block| {
            block
                .lines()
                .map(|line| line.trim_start().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    lines
        .into_iter()
        .filter(|line| line.starts_with(word))
        .collect()
}

/// The task that the only `iexec app` command of a section of `page` asks for, as a shell splits
/// it, with example.org played by `web`.
fn task(page: &str, section: &str, web: &Server) -> Task {
    let [command] = &commands(page, section, "iexec app ")[..] else {
        panic!("{section} shows one command")
    };
    let mut shell = Command::new("sh");
    let variables =
        ["APP", "WORKERPOOL", "DATASET", "CONTRACT"].map(|name| (name, format!("0x{name:0>40}")));
    let words = shell
        .args(["-c", &format!("printf '%s\\n' {command}")])
        .envs(variables)
        .output()
        .unwrap();
    let words = String::from_utf8(words.stdout)
        .unwrap()
        .replace("https://example.org", &web.url(""));
    let words: Vec<_> = words.lines().skip(4).collect();
    let mut options = HashMap::new();
    let mut words = words.into_iter().peekable();
    while let Some(option) = words.next() {
        assert!(option.starts_with("--"), "{option}");
        let flag = option == "--watch";
        options.insert(option, if flag { "" } else { words.next().unwrap() });
    }
    let mut take = |option: &str| options.remove(option);
    let number = |text: Option<&str>| text.map_or(1, |number| number.parse().unwrap());
    for option in ["--chain", "--tag", "--workerpool", "--watch"] {
        take(option);
    }
    let limits = ["0", "1"]
        .into_iter()
        .zip([300, 1200])
        .collect::<HashMap<_, _>>();
    let limit = limits[take("--category").unwrap()];
    let input_files = take("--input-files").unwrap_or_default();
    let task = Task {
        input_files: input_files
            .split(',')
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect(),
        dataset: take("--dataset").map(|address| (address.to_owned(), None)),
        bag: number(take("--volume")),
        callback: take("--callback").is_some(),
        time_limit: std::time::Duration::from_secs(limit),
        ..Task::new(take("--args").unwrap_or_default())
    };
    assert!(
        options.is_empty(),
        "options that no test knows: {options:?}"
    );
    task
}

#[test]
fn the_command_for_an_address_works() {
    let web = web();
    let task = task(PAGE, "An address", &web);
    let outcome = Worker::new().run(&task);
    assert_done(&outcome, &[1]);
    assert_eq!(
        outcome.json("1.json")["options"]["score_threshold"]
            .as_f64()
            .map(|score| score as f32),
        Some(0.7)
    );
}

#[test]
fn the_command_for_input_files_works() {
    let web = web();
    assert_done(
        &Worker::new().run(&task(PAGE, "An input file", &web)),
        &[1, 2],
    );
}

#[test]
fn the_command_for_a_dataset_works() {
    let web = web();
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.pth");
    checkpoint::write_torchvision(&weights);
    let mut task = task(PAGE, "Weights as a dataset", &web);
    task.dataset
        .as_mut()
        .expect("the command names a dataset")
        .1 = Some(weights);
    let outcome = Worker::new().run(&task);
    assert_done(&outcome, &[1]);
    assert_eq!(
        outcome.json("1.json")["model"]["labels"]
            .as_array()
            .unwrap()
            .len(),
        80
    );
}

#[test]
fn the_command_for_a_bag_works() {
    let web = web();
    let worker = Worker::new();
    let task = task(PAGE, "A bag of tasks", &web);
    assert_eq!(task.bag, task.input_files.len());
    for index in 0..task.bag {
        assert_done(
            &worker.run(&Task {
                index,
                ..task.clone()
            }),
            &[index + 1],
        );
    }
}

#[test]
fn the_commands_for_a_contract_work() {
    let web = web();
    let oracle = task("examples/oracle/README.md", "Use", &web);
    let task = task(PAGE, "A contract", &web);
    assert_eq!(
        (&oracle.args, oracle.callback),
        (&task.args, task.callback),
        "both pages show the same task"
    );
    assert!(task.callback);
    let outcome = Worker::new().run(&task);
    assert_eq!(outcome.exit, Some(0), "{}", outcome.stderr);
    assert!(outcome.contribution.is_ok());
    // The test of examples/oracle reads them.
    let kept = repository("target/container/callback");
    fs::create_dir_all(&kept).unwrap();
    for name in &outcome.archive {
        fs::write(kept.join(name), outcome.read(name)).unwrap();
    }
}

#[test]
fn the_command_without_iexec_works() {
    let web = web();
    let [command] = &commands(PAGE, "Without iExec", "docker run ")[..] else {
        panic!("the section shows one command")
    };
    let command = command
        .replace("https://example.org", &web.url(""))
        .replace("maskrcnn-dapp", IMAGE);
    let command = command.replacen(
        "docker run",
        &format!("docker run --network {}", network()),
        1,
    );
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new("sh")
        .args(["-c", &command])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    for name in ["1.png", "1.json", "consensus.json", "computed.json"] {
        assert!(folder.path().join("out").join(name).exists(), "{name}");
    }
}
