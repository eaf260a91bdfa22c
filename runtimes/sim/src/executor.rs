//! The queue, the clock and the loop.
//!
//! One rule keeps the mutex harmless: no foreign code runs while it is held. Polling, waking, and dropping a future, a task
//! or a waker are foreign code.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use async_task::Runnable;
use fastrand::Rng;
use moorline_core::{BoxFuture, Time};

use crate::spawned::{Entry, Label, Spawned, Tally};
use crate::{LIVELOCK_POLLS, report};

type Panic = Box<dyn Any + Send>;

/// Polls the main future and the tasks until the main one ends.
pub(crate) fn drive<F: Future>(shared: &Arc<Shared>, mut main: Pin<&mut F>) -> F::Output {
    let waker = Waker::from(Arc::clone(shared));
    let mut context = Context::from_waker(&waker);
    let mut fired = Vec::new();
    loop {
        // A statement of its own, so that the lock is released before the step is taken.
        let step = shared.lock().next(shared.seed, &mut fired);
        match step {
            Step::Main => {
                if let Poll::Ready(output) = main.as_mut().poll(&mut context) {
                    return output;
                }
            }
            Step::Task(task) => {
                let label = *task.metadata();
                // async-task drops the future of a task that panics, so nobody sees it half done.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task.run())) {
                    shared.panicked(label, panic);
                }
            }
            Step::Fired => fired.drain(..).for_each(Waker::wake),
            Step::Stuck(report) => match shared.take_panic() {
                // A task's panic is the likelier cause, so it goes first.
                Some(panic) => {
                    eprintln!("{report}");
                    resume_unwind(panic);
                }
                None => panic!("{report}"),
            },
        }
    }
}

/// One run, as tasks, timers and handles see it.
pub(crate) struct Shared {
    pub(crate) seed: u64,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, state: Mutex::new(State::new(seed)) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn start(&self) {
        let mut state = self.lock();
        let fresh = state.phase == Phase::New;
        if fresh {
            state.phase = Phase::Running;
        }
        drop(state);
        assert!(fresh, "a Sim runs once: make a new one for another run");
    }

    pub(crate) fn spawn(
        self: &Arc<Self>,
        name: &'static str,
        at: Option<&'static Location<'static>>,
        future: BoxFuture<'static, ()>,
    ) {
        let mut state = self.lock();
        let phase = state.phase;
        state.spawned += 1;
        let label = Label { id: state.spawned, name, at };
        drop(state);
        assert!(
            phase != Phase::New,
            "`{name}` was spawned before Sim::run: nothing would drive it"
        );

        let spawned = Spawned::new(label.id, Arc::downgrade(self), future);
        // Weak, since the register holds the task and the task its schedule.
        let shared = Arc::downgrade(self);
        let schedule = move |task: Runnable<Label>| {
            if let Some(shared) = shared.upgrade() {
                shared.schedule(task);
            }
        };
        let (first, task) = async_task::Builder::new().metadata(label).spawn(|_| spawned, schedule);

        let mut state = self.lock();
        if state.phase == Phase::Running {
            state.tasks.insert(label.id, Entry { task, tally: Tally::default() });
            state.ready.push(first);
            return;
        }
        // Unlocked, and then dropped: the task with them.
        drop(state);
    }

    fn schedule(&self, task: Runnable<Label>) {
        let mut state = self.lock();
        if state.phase == Phase::Running {
            state.ready.push(task);
            return;
        }
        // After the end a wake-up is the task's cancellation: unlocked, the task is dropped here.
        drop(state);
    }

    /// Keeps the first panic for the end of the run.
    pub(crate) fn panicked(&self, label: Label, panic: Panic) {
        let mut state = self.lock();
        let now = state.now;
        state.panics.count += 1;
        if state.panics.first.is_none() {
            state.panics.first = Some(panic);
        }
        drop(state);
        eprintln!("sim: seed {}: {label} panicked at {now:?}", self.seed);
    }

    /// The panic that the run must end with, if any.
    pub(crate) fn take_panic(&self) -> Option<Panic> {
        let mut state = self.lock();
        if state.panics.allowed { None } else { state.panics.first.take() }
    }

    /// Drops all that is left. What is spawned or woken from now on is dropped at once.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.phase = Phase::Ended;
        let tasks = mem::take(&mut state.tasks);
        let ready = mem::take(&mut state.ready);
        let timers = mem::take(&mut state.timers);
        drop(state);
        // The register first: that order is the order of spawning. A task that waits is dropped by its cancellation; one
        // that stands in the queue is only marked, and dropped with the queue.
        drop(tasks);
        drop(ready);
        drop(timers);
    }
}

/// Wakes the main future.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.lock().main_ready = true;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    New,
    Running,
    Ended,
}

#[derive(Default)]
pub(crate) struct Panics {
    pub(crate) allowed: bool,
    pub(crate) count: u64,
    first: Option<Panic>,
}

pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) now: Time,
    rng: Rng,
    ready: Vec<Runnable<Label>>,
    main_ready: bool,
    pub(crate) main: Tally,
    /// Live tasks by number, which is the order of spawning.
    pub(crate) tasks: BTreeMap<u64, Entry>,
    spawned: u64,
    /// Armed timers. A map rather than a heap: a reset takes its entry out at once, so there is no garbage to bound.
    pub(crate) timers: BTreeMap<(Time, u64), Waker>,
    armed: u64,
    pub(crate) polls: u64,
    /// Polls since time last moved.
    pub(crate) polls_here: u64,
    pub(crate) livelock: u64,
    pub(crate) fingerprint: u64,
    pub(crate) panics: Panics,
}

/// What to do next, without the lock.
enum Step {
    Main,
    Task(Runnable<Label>),
    /// Time has moved; wake those whose deadline has come.
    Fired,
    Stuck(String),
}

impl State {
    fn new(seed: u64) -> Self {
        Self {
            phase: Phase::New,
            now: Time::ZERO,
            rng: Rng::with_seed(seed),
            ready: Vec::new(),
            main_ready: true,
            main: Tally::default(),
            tasks: BTreeMap::new(),
            spawned: 0,
            timers: BTreeMap::new(),
            armed: 0,
            polls: 0,
            polls_here: 0,
            livelock: LIVELOCK_POLLS,
            fingerprint: 0,
            panics: Panics::default(),
        }
    }

    pub(crate) fn random(&mut self) -> u128 {
        self.rng.u128(..)
    }

    /// Numbers timers in the order in which they are armed, so that two with one deadline have an order.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.armed += 1;
        self.armed
    }

    fn next(&mut self, seed: u64, fired: &mut Vec<Waker>) -> Step {
        let ready = self.ready.len() + usize::from(self.main_ready);
        if ready == 0 {
            return self.jump(seed, fired);
        }
        if self.polls_here == self.livelock {
            return Step::Stuck(report::livelock(self, seed));
        }
        self.polls += 1;
        self.polls_here += 1;
        // The main future stands behind the queue's last.
        let chosen = self.rng.usize(..ready);
        if chosen == self.ready.len() {
            self.main_ready = false;
            self.main.count(self.now);
            self.mix(0);
            return Step::Main;
        }
        let task = self.ready.swap_remove(chosen);
        let id = task.metadata().id;
        if let Some(entry) = self.tasks.get_mut(&id) {
            entry.tally.count(self.now);
        }
        self.mix(id);
        Step::Task(task)
    }

    fn jump(&mut self, seed: u64, fired: &mut Vec<Waker>) -> Step {
        let Some((&(deadline, _), _)) = self.timers.first_key_value() else {
            return Step::Stuck(report::deadlock(self, seed));
        };
        // Another thread may have armed a timer that is due by now.
        if deadline > self.now {
            self.now = deadline;
            self.polls_here = 0;
            // Virtual nanoseconds beyond 64 bits are 584 years; a hash may wrap.
            self.mix(deadline.since_origin().as_nanos() as u64);
        }
        while let Some(timer) = self.timers.first_entry() {
            if timer.key().0 > self.now {
                break;
            }
            fired.push(timer.remove());
        }
        Step::Fired
    }

    /// One step of FNV-1a, over words.
    fn mix(&mut self, word: u64) {
        self.fingerprint = (self.fingerprint ^ word).wrapping_mul(0x0100_0000_01b3);
    }
}
