// Work that was asked for but not yet done, and the memory it may touch: what libcuda.cpp is built on.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// A piece of work, as often as it is asked for.
struct Work {
    std::string what;
    std::vector<int> devices;          // whose memory is readable while it runs
    std::function<std::string()> run;  // returns what went wrong, or nothing
    uint64_t peer_bytes = 0;           // that it carries from one device to another
    std::function<bool()> may = nullptr;  // if set: whether it can run now, for what other processes and threads do
};
// Work that was asked for. It may run once everything in front of it is done, and nothing
// promises that it runs any sooner: a stream's order and event waits put operations in front, nothing else does.
struct Operation : Work {
    std::vector<std::shared_ptr<Operation>> behind;
    size_t unmet = 0;
    uint64_t number = 0;  // in order of the calls
    uint64_t done_at = 0;
    bool done = false;
};
using Handle = std::shared_ptr<Operation>;

extern std::recursive_mutex driver_lock;

// Queues `work` behind the operations given (null and finished ones are ignored).
Handle queue_push(Work work, const std::vector<Handle>& front);
// Bytes between devices of all work queued so far.
uint64_t queue_peer_bytes();
// Runs operations, chosen by the seed among those that may run, until `target` is done (or all are, if null). While only
// what others do is waited for, the lock, which must be held once, is given to other threads.
// Returns the first failure of any operation so far, which stays: a GPU's context is lost after a fault too.
std::string queue_run_until(const Handle& target);
std::string queue_failure();
// Runs one operation if there is one: time passes while a program polls.
void queue_step();
// 0: in order of the calls. 1: the newest that may run. Else: random.
void queue_seed(uint64_t seed);

// Device memory. Each buffer ends at a guard page and begins behind one; fresh memory is full of NaN.
// 0 if the device's limit would be passed.
uint64_t memory_allocate(int device, size_t bytes);
// Gives a buffer back; its addresses stay unreadable. False if no buffer begins there.
bool memory_free(uint64_t address);
// The device that owns all of [address, address + bytes), or −1.
int memory_owner(uint64_t address, size_t bytes);
// Makes the buffers of these devices readable and all others not.
void memory_open(const std::vector<int>& devices);
void memory_usage(int device, size_t* free, size_t* total);
// What lies at an address, in words, for the report of a fault.
std::string memory_describe(uint64_t address);
