#include "queue.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

std::recursive_mutex driver_lock;

namespace {

std::vector<Handle> ready, waiting;  // `waiting` are those whose turn it is, but that must not run yet
size_t pending = 0;
uint64_t calls = 0, steps = 0, seed = 0, peer_bytes = 0;
bool seeded = false;
std::string failure;
const Operation* running = nullptr;

uint64_t random_word() {
    static uint64_t state = 0;
    if (!seeded) {
        const char* text = std::getenv("SHIM_SEED");
        seed = text ? std::strtoull(text, nullptr, 10) : 2;
        seeded = true;
    }
    uint64_t x = seed * 0xD1342543DE82EF95ull + (state += 0x9E3779B97F4A7C15ull);
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

size_t choose() {
    const uint64_t word = random_word();
    if (seed > 1) return word % ready.size();
    const auto by_number = [](const Handle& a, const Handle& b) { return a->number < b->number; };
    return (seed == 0 ? std::min_element(ready.begin(), ready.end(), by_number)
                      : std::max_element(ready.begin(), ready.end(), by_number)) - ready.begin();
}

// A kernel or copy touched memory that it must not: say which, and end.
void on_fault(int signal, siginfo_t* info, void*) {
    if (!running) {
        std::signal(signal, SIG_DFL);
        return;
    }
    const uint64_t address = reinterpret_cast<uint64_t>(info->si_addr);
    const std::string text = "stand-in driver: " + running->what + " touched " + memory_describe(address) + "\n";
    if (write(2, text.data(), text.size()) < 0) _exit(72);
    _exit(71);
}

void make_ready(const Handle& op) { (op->may ? waiting : ready).push_back(op); }

void run(const Handle& op) {
    static bool handled = [] {
        struct sigaction action {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        sigaction(SIGSEGV, &action, nullptr);
        sigaction(SIGBUS, &action, nullptr);
        return true;
    }();
    (void)handled;
    if (failure.empty()) {
        if (!op->devices.empty()) memory_open(op->devices);
        running = op.get();
        const std::string wrong = op->run();
        running = nullptr;
        if (!wrong.empty()) {
            failure = wrong;
            std::fprintf(stderr, "stand-in driver: %s\n", wrong.c_str());
        }
    }
    op->done = true;
    op->done_at = ++steps;
    op->run = nullptr;
    op->may = nullptr;
    pending--;
    for (const Handle& next : op->behind)
        if (--next->unmet == 0) make_ready(next);
    op->behind.clear();
}

// Whether anything is ready, once those that waited for others have been asked.
bool any_ready() {
    for (size_t i = waiting.size(); i-- > 0;)
        if (waiting[i]->may()) {
            ready.push_back(waiting[i]);
            waiting[i] = waiting.back();
            waiting.pop_back();
        }
    return !ready.empty();
}

void run_one() {
    const size_t at = choose();
    const Handle op = ready[at];
    ready[at] = ready.back();
    ready.pop_back();
    run(op);
}

}  // namespace

Handle queue_push(Work work, const std::vector<Handle>& front) {
    auto op = std::make_shared<Operation>();
    static_cast<Work&>(*op) = std::move(work);
    op->number = ++calls;
    peer_bytes += op->peer_bytes;
    for (const Handle& before : front)
        if (before && !before->done) {
            before->behind.push_back(op);
            op->unmet++;
        }
    pending++;
    if (op->unmet == 0) make_ready(op);
    return op;
}

std::string queue_run_until(const Handle& target) {
    while (target ? !target->done : pending > 0) {
        if (any_ready()) {
            run_one();
            continue;
        }
        if (waiting.empty()) std::abort();  // operations only wait for older ones, so one can always run
        driver_lock.unlock();
        usleep(100);
        driver_lock.lock();
    }
    return failure;
}

uint64_t queue_peer_bytes() { return peer_bytes; }

std::string queue_failure() { return failure; }

void queue_step() {
    if (any_ready()) run_one();
}

void queue_seed(uint64_t to) {
    seed = to;
    seeded = true;
}
