use super::*;

/// `NAME=value` words.
fn of(environment: &str) -> Result<World, Error> {
    named(None, environment)
}

fn named(launcher: Option<Launcher>, environment: &str) -> Result<World, Error> {
    let pairs: Vec<_> = environment.split_whitespace().filter_map(|word| word.split_once('=')).collect();
    World::of(launcher, &|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
}

/// Launcher, rank, count, rank and count on the machine, host:port.
type Row = (Launcher, usize, usize, Option<(usize, Option<usize>)>, &'static str);

#[test]
fn every_launcher_is_understood() {
    use Launcher::{OpenMpi, Pmi, Slurm, Torchrun};
    let table: &[(&str, Row)] = &[
        ("", (Launcher::Alone, 0, 1, None, "")),
        ("MASTER_ADDR=a MASTER_PORT=1", (Launcher::Alone, 0, 1, None, "")),
        (
            "RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=node7 MASTER_PORT=1234",
            (Torchrun, 5, 8, Some((1, Some(4))), "node7:1234"),
        ),
        ("RANK=0 WORLD_SIZE=1 LOCAL_RANK=0", (Torchrun, 0, 1, Some((0, None)), "")),
        ("RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=::1", (Torchrun, 1, 2, Some((1, None)), "::1:29500")),
        // torchrun's agent listens at the port itself.
        (
            "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=a MASTER_PORT=1234 TORCHELASTIC_USE_AGENT_STORE=True",
            (Torchrun, 1, 2, Some((1, None)), "a:1235"),
        ),
        // torchrun under srun, mpirun under sbatch: the inner one counts.
        (
            "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 MASTER_ADDR=a MASTER_PORT=9 SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=0",
            (Torchrun, 3, 4, Some((1, None)), "a:9"),
        ),
        (
            "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_LOCAL_RANK=0 MASTER_ADDR=h SLURM_PROCID=0 \
             SLURM_NTASKS=9 SLURM_LOCALID=0 SLURM_JOB_ID=12345",
            (OpenMpi, 2, 3, Some((0, None)), "h:29845"),
        ),
        // All on one machine need no address.
        (
            "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_LOCAL_RANK=1 OMPI_COMM_WORLD_LOCAL_SIZE=2",
            (OpenMpi, 1, 2, Some((1, Some(2))), "127.0.0.1:29500"),
        ),
        ("PMI_RANK=0 PMI_SIZE=2 MASTER_ADDR=h MASTER_PORT=7", (Pmi, 0, 2, None, "h:7")),
        (
            "PMI_RANK=3 PMI_SIZE=4 MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2 MASTER_ADDR=h",
            (Pmi, 3, 4, Some((1, Some(2))), "h:29500"),
        ),
        (
            "PMI_RANK=3 PMI_SIZE=4 PMI_LOCAL_RANK=3 PMI_LOCAL_SIZE=4",
            (Pmi, 3, 4, Some((3, Some(4))), "127.0.0.1:29500"),
        ),
        (
            "SLURM_PROCID=5 SLURM_NTASKS=6 SLURM_LOCALID=1 SLURM_NODEID=1 SLURM_TASKS_PER_NODE=4,2 SLURM_JOB_ID=7 \
             SLURM_STEP_ID=0 SLURM_JOB_NODELIST=gpu[003-005,9]",
            (Slurm, 5, 6, Some((1, Some(2))), "gpu003:29507"),
        ),
        (
            "SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=0 SLURM_LAUNCH_NODE_IPADDR=10.0.0.4",
            (Slurm, 1, 2, Some((0, None)), "10.0.0.4:29500"),
        ),
        (
            "SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_LOCALID=0 SLURM_JOB_NODELIST=a,b MASTER_ADDR=z MASTER_PORT=8",
            (Slurm, 1, 2, Some((0, None)), "z:8"),
        ),
        // srun with fewer tasks than the job has.
        (
            "SLURM_PROCID=1 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=1 SLURM_STEP_TASKS_PER_NODE=2 \
             SLURM_TASKS_PER_NODE=8",
            (Slurm, 1, 2, Some((1, Some(2))), "127.0.0.1:29500"),
        ),
        // A batch script and a shell of salloc are no tasks.
        ("SLURM_JOB_ID=7 SLURM_PROCID=0 SLURM_NTASKS=4 SLURM_LOCALID=0", (Launcher::Alone, 0, 1, None, "")),
        ("SLURM_JOB_ID=7 SLURM_NTASKS=4", (Launcher::Alone, 0, 1, None, "")),
    ];
    for (environment, (launcher, rank, count, local, meeting)) in table {
        let world = of(environment).unwrap_or_else(|e| panic!("{environment}: {e}"));
        let place = world.meeting.as_ref().map_or(String::new(), |(host, port)| format!("{host}:{port}"));
        let found = (world.launcher, world.rank, world.count, world.local.map(|l| (l.rank, l.count)));
        assert_eq!((found, &*place), ((*launcher, *rank, *count, *local), *meeting), "{environment}");
    }
}

#[test]
fn what_is_set_by_half_or_contradicts_itself_is_refused() {
    let table = [
        ("RANK=0", "RANK is set, but LOCAL_RANK is not"),
        ("WORLD_SIZE=2 LOCAL_RANK=0", "LOCAL_RANK is set, but RANK is not"),
        ("RANK=0 WORLD_SIZE=2", "WORLD_SIZE is set, but LOCAL_RANK is not"),
        ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=0", "torchrun: rank 0 of 2, and MASTER_ADDR is not set"),
        ("RANK=2 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a", "torchrun: rank 2 of 2"),
        ("RANK=0 WORLD_SIZE=0 LOCAL_RANK=0", "torchrun: rank 0 of 0"),
        ("RANK=-1 WORLD_SIZE=2 LOCAL_RANK=0 MASTER_ADDR=a", "RANK is \"-1\", which is no number"),
        ("RANK=0 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=a", "torchrun: rank 0 of 2, on its machine 1"),
        (
            "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=1 MASTER_ADDR=a",
            "torchrun: rank 1 of 2, on its machine 1 of 1",
        ),
        (
            "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=a",
            "torchrun: rank 1 of 2, on its machine 1 of 4",
        ),
        (
            "RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=a MASTER_PORT=x",
            "MASTER_PORT is \"x\", which is no number",
        ),
        ("RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 MASTER_ADDR=a MASTER_PORT=70000", "MASTER_PORT leads to 70000"),
        ("OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_RANK is set, but OMPI_COMM_WORLD_LOCAL_RANK is not"),
        ("PMI_RANK=1 PMI_SIZE=2", "pmi: rank 1 of 2, and MASTER_ADDR is not set"),
        ("PMI_SIZE=2", "PMI_SIZE is set, but PMI_RANK is not"),
        ("PMI_RANK=1 PMI_SIZE=2 MPI_LOCALRANKID=0", "MPI_LOCALRANKID is set, but MPI_LOCALNRANKS is not"),
        ("SLURM_PROCID=1 SLURM_LOCALID=0", "SLURM_LOCALID is set, but SLURM_NTASKS is not"),
        ("SLURM_NTASKS=2", "SLURM_NTASKS is set, but SLURM_LOCALID is not"),
    ];
    for (environment, cause) in table {
        let error = of(environment).map(drop).expect_err(environment);
        assert!(error.to_string().starts_with(cause), "{environment}: {error}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{environment}");
    }
}

#[test]
fn a_named_launcher_is_the_only_one_asked() {
    let both = "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 MASTER_ADDR=a PMI_RANK=0 PMI_SIZE=2";
    assert_eq!(named(Some(Launcher::Pmi), both).unwrap().count, 2);
    assert_eq!(named(Some(Launcher::Alone), both).unwrap(), World::ALONE);
    let error = named(Some(Launcher::Slurm), both).unwrap_err().to_string();
    assert_eq!(error, "--launcher slurm, but none of its variables is set");
    for (launcher, name) in Launcher::ALL {
        assert_eq!(name.parse::<Launcher>().unwrap(), launcher);
        assert_eq!(launcher.to_string(), name);
    }
    assert!("mpi".parse::<Launcher>().is_err());
}

#[test]
fn slurms_lists_are_read() {
    for (list, first) in [
        ("a", "a"),
        ("a,b", "a"),
        ("n[3,5]", "n3"),
        ("n[03-05],m7", "n03"),
        ("r[1-2]n[4-9]-ib", "r1n4-ib"),
        ("a,n[1-2]", "a"),
    ] {
        assert_eq!(first_host(list), first, "{list}");
    }
    for (text, node, tasks) in [
        ("4", 0, Some(4)),
        ("4(x2),3", 1, Some(4)),
        ("4(x2),3", 2, Some(3)),
        ("4(x2),3", 3, None),
        ("x", 0, None),
    ] {
        assert_eq!(tasks_of_node(text, node), tasks, "{text}");
    }
}
