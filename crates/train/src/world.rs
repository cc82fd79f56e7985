//! Who else trains: rank, number of processes and place to meet, as the launcher says in the environment.
//!
//! [`World::of`] is a function of the environment alone. torchrun, Open MPI, PMI (MPICH, Intel MPI, Cray) and Slurm are asked
//! in this order, since each may have been started inside the next: `mpirun` in a Slurm job, `torchrun` under `srun`. What is
//! set by half or contradicts itself is refused; nothing is guessed but the port, and the host where all are on one machine.

use crate::error::Error;

/// Who started the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// Nobody: one process.
    Alone,
    /// torchrun, or who sets `RANK`, `WORLD_SIZE` and `LOCAL_RANK` as it does.
    Torchrun,
    /// Open MPI's mpirun.
    OpenMpi,
    /// A mpirun or mpiexec that speaks PMI.
    Pmi,
    /// srun.
    Slurm,
}

impl Launcher {
    const ALL: [(Launcher, &'static str); 5] = [
        (Launcher::Alone, "none"),
        (Launcher::Torchrun, "torchrun"),
        (Launcher::OpenMpi, "openmpi"),
        (Launcher::Pmi, "pmi"),
        (Launcher::Slurm, "slurm"),
    ];
}

impl std::str::FromStr for Launcher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Launcher::ALL.into_iter().find(|(_, name)| *name == text);
        found.map(|(launcher, _)| launcher).ok_or_else(|| "give none, torchrun, openmpi, pmi or slurm".into())
    }
}

impl std::fmt::Display for Launcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = Launcher::ALL.iter().find(|(launcher, _)| launcher == self);
        f.write_str(named.map_or("", |(_, name)| name))
    }
}

/// A process among those of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its number.
    pub rank: usize,
    /// How many there are, if the launcher says it.
    pub count: Option<usize>,
}

/// A process among all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Who started them.
    pub launcher: Launcher,
    /// Its number, below `count`.
    pub rank: usize,
    /// How many there are.
    pub count: usize,
    /// Its place on its machine, if the launcher says it.
    pub local: Option<Local>,
    /// Host and port where rank 0 waits for the others; nothing for one process.
    pub meeting: Option<(String, u16)>,
}

/// Where rank 0 waits if nobody says it: as PyTorch has it, moved by the number of a Slurm job.
const PORT: u16 = 29500;

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

fn refusal(cause: String, hint: &str) -> Error {
    Error::Launch { cause, hint: hint.to_owned() }
}

impl World {
    /// One process.
    pub const ALONE: World =
        World { launcher: Launcher::Alone, rank: 0, count: 1, local: None, meeting: None };

    /// What this process' environment says; of `launcher` alone if one is named.
    ///
    /// # Errors
    /// As [`World::of`].
    pub fn from_environment(launcher: Option<Launcher>) -> Result<World, Error> {
        World::of(launcher, &|name| std::env::var(name).ok())
    }

    /// What these variables say.
    ///
    /// # Errors
    /// A launcher's variables are set by half, are no numbers, or contradict each other; or nobody says where to meet.
    pub fn of(launcher: Option<Launcher>, variables: Variables) -> Result<World, Error> {
        let environment = Environment { variables };
        let of = |launcher| match launcher {
            Launcher::Alone => Ok(Some(World::ALONE)),
            Launcher::Torchrun => environment.torchrun(),
            Launcher::OpenMpi => environment.open_mpi(),
            Launcher::Pmi => environment.pmi(),
            Launcher::Slurm => environment.slurm(),
        };
        if let Some(launcher) = launcher {
            let absent = || {
                let cause = format!("--launcher {launcher}, but none of its variables is set");
                refusal(cause, "start the program with that launcher, or leave --launcher away")
            };
            return of(launcher)?.ok_or_else(absent);
        }
        for launcher in [Launcher::Torchrun, Launcher::OpenMpi, Launcher::Pmi, Launcher::Slurm] {
            if let Some(world) = of(launcher)? {
                return Ok(world);
            }
        }
        Ok(World::ALONE)
    }
}

struct Environment<'a> {
    variables: Variables<'a>,
}

impl Environment<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|text| !text.is_empty())
    }

    fn number(&self, name: &str) -> Result<Option<usize>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let parsed = text.trim().parse();
        let refused =
            |_| refusal(format!("{name} is {text:?}, which is no number"), "unset it, or use the launcher");
        parsed.map(Some).map_err(refused)
    }

    /// The numbers of these names: all, or none of them.
    fn all<const N: usize>(&self, names: [&str; N]) -> Result<Option<[usize; N]>, Error> {
        let mut values = [0; N];
        let (mut set, mut missing) = (None, None);
        for (value, name) in values.iter_mut().zip(names) {
            match self.number(name)? {
                Some(number) => (*value, set) = (number, Some(name)),
                None => missing = Some(name),
            }
        }
        match (set, missing) {
            (None, _) => Ok(None),
            (Some(_), None) => Ok(Some(values)),
            (Some(set), Some(missing)) => {
                let cause = format!("{set} is set, but {missing} is not");
                Err(refusal(
                    cause,
                    "use the launcher that sets both, unset what is left over, or say --launcher none",
                ))
            }
        }
    }

    fn torchrun(&self) -> Result<Option<World>, Error> {
        let Some([rank, count, local]) = self.all(["RANK", "WORLD_SIZE", "LOCAL_RANK"])? else {
            return Ok(None);
        };
        let local = Local { rank: local, count: self.number("LOCAL_WORLD_SIZE")? };
        // Its agent listens at MASTER_PORT itself, and says so.
        let taken = self.text("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|text| text == "True");
        self.world(Launcher::Torchrun, [rank, count], Some(local), None, u16::from(taken)).map(Some)
    }

    fn open_mpi(&self) -> Result<Option<World>, Error> {
        let names = ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"];
        let Some([rank, count, local]) = self.all(names)? else { return Ok(None) };
        let local = Local { rank: local, count: self.number("OMPI_COMM_WORLD_LOCAL_SIZE")? };
        self.world(Launcher::OpenMpi, [rank, count], Some(local), None, 0).map(Some)
    }

    fn pmi(&self) -> Result<Option<World>, Error> {
        let Some(place) = self.all(["PMI_RANK", "PMI_SIZE"])? else { return Ok(None) };
        let mpich = self.all(["MPI_LOCALRANKID", "MPI_LOCALNRANKS"])?;
        let local = match mpich {
            Some(local) => Some(local),
            None => self.all(["PMI_LOCAL_RANK", "PMI_LOCAL_SIZE"])?,
        };
        let local = local.map(|[rank, count]| Local { rank, count: Some(count) });
        self.world(Launcher::Pmi, place, local, None, 0).map(Some)
    }

    fn slurm(&self) -> Result<Option<World>, Error> {
        // A shell or batch script of a job has the job's variables, but is no task of srun.
        if self.text("SLURM_JOB_ID").is_some() && self.text("SLURM_STEP_ID").is_none() {
            return Ok(None);
        }
        let step = self.text("SLURM_STEP_NUM_TASKS").is_some();
        let tasks = if step { "SLURM_STEP_NUM_TASKS" } else { "SLURM_NTASKS" };
        let Some([rank, count, local]) = self.all(["SLURM_PROCID", tasks, "SLURM_LOCALID"])? else {
            return Ok(None);
        };
        let node = self.number("SLURM_NODEID")?.unwrap_or(0);
        let first = |names: &[&str]| names.iter().find_map(|name| self.text(name));
        let per_node = first(&["SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"]);
        let local = Local { rank: local, count: per_node.and_then(|text| tasks_of_node(&text, node)) };
        let nodes = first(&["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"]);
        let host = nodes.map(|list| first_host(&list)).or_else(|| self.text("SLURM_LAUNCH_NODE_IPADDR"));
        self.world(Launcher::Slurm, [rank, count], Some(local), host, 0).map(Some)
    }

    /// Puts together what a launcher said; `host` is what it says of the first machine.
    fn world(
        &self,
        launcher: Launcher,
        [rank, count]: [usize; 2],
        local: Option<Local>,
        host: Option<String>,
        past: u16,
    ) -> Result<World, Error> {
        let contradiction =
            |cause: String| Err(refusal(cause, "the variables of the launcher contradict each other"));
        if rank >= count {
            return contradiction(format!("{launcher}: rank {rank} of {count}"));
        }
        if let Some(Local { rank: own, count: all }) = local
            && (own > rank || own >= all.unwrap_or(count) || all.is_some_and(|all| all > count))
        {
            let of = all.map_or(String::new(), |all| format!(" of {all}"));
            return contradiction(format!("{launcher}: rank {rank} of {count}, on its machine {own}{of}"));
        }
        if count == 1 {
            return Ok(World { launcher, rank, count, local, meeting: None });
        }
        let here = local.is_some_and(|local| local.count == Some(count)).then(|| "127.0.0.1".to_owned());
        let Some(host) = self.text("MASTER_ADDR").or(host).or(here) else {
            let cause = format!("{launcher}: rank {rank} of {count}, and MASTER_ADDR is not set");
            return Err(refusal(
                cause,
                "give all processes MASTER_ADDR, the machine of rank 0 (mpirun -x MASTER_ADDR=…)",
            ));
        };
        let job = self.number("SLURM_JOB_ID").ok().flatten().unwrap_or(0);
        let port = match self.number("MASTER_PORT")? {
            None => usize::from(PORT) + job % 1000,
            Some(port) => port + usize::from(past),
        };
        match u16::try_from(port) {
            Ok(port) if port > 0 => Ok(World { launcher, rank, count, local, meeting: Some((host, port)) }),
            _ => contradiction(format!("MASTER_PORT leads to {port}, which is no port")),
        }
    }
}

/// The first of Slurm's `a[1,03-05],b`: a1.
fn first_host(list: &str) -> String {
    let Some((head, rest)) = list.split_once('[').filter(|(head, _)| !head.contains(',')) else {
        return list.split(',').next().unwrap_or(list).to_owned();
    };
    let (inside, tail) = rest.split_once(']').unwrap_or((rest, ""));
    let number = inside.split([',', '-']).next().unwrap_or(inside);
    first_host(&format!("{head}{number}{}", tail.split(',').next().unwrap_or("")))
}

/// Tasks of one node by Slurm's `4(x2),3`.
fn tasks_of_node(text: &str, node: usize) -> Option<usize> {
    let mut nodes = 0;
    for group in text.split(',') {
        let (tasks, times) = match group.split_once("(x") {
            Some((tasks, times)) => (tasks, times.strip_suffix(')')?.parse().ok()?),
            None => (group, 1),
        };
        nodes += times;
        if node < nodes {
            return tasks.parse().ok();
        }
    }
    None
}

#[cfg(test)]
mod tests;
