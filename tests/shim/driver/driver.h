// What the parts of the stand-in driver share: its handles, its state, and how work is put on a stream. One lock guards
// all of it (driver_lock); the functions here are called with it held.
#pragma once
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../host/host_cuda.h"
#include "queue.h"

enum Result {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, LAUNCH_FAILED = 719,
    NOT_SUPPORTED = 801
};

struct Stream;
struct Device {
    int number;
    Stream* standard = nullptr;
};
struct Stream {
    Device* device;
    Handle last;
};
struct Event {
    Device* device;
    Handle recorded;
};
struct Function {
    const AlxKernel* kernel;
    Device* device;
    size_t shared_limit = 48 << 10;
};
struct Module {
    Device* device;
    std::set<std::string> names;
    std::map<std::string, Function*> functions;
};

inline std::vector<Device*> devices;
inline thread_local Device* current = nullptr;
inline std::map<uint64_t, size_t> pinned;
inline std::set<Event*> events;
inline std::set<Stream*> streams;
inline std::atomic<uint64_t> peer_bytes{0};

using Lock = std::lock_guard<std::recursive_mutex>;

inline Stream* stream_of(void* handle) {
    // Null, legacy and per-thread: the device's own stream, which here does not wait for the others.
    if (reinterpret_cast<uint64_t>(handle) > 2) {
        auto* stream = static_cast<Stream*>(handle);
        return streams.count(stream) ? stream : nullptr;
    }
    if (!current) return nullptr;
    if (!current->standard) streams.insert(current->standard = new Stream{current, nullptr});
    return current->standard;
}

inline int finished(const std::string& failure) { return failure.empty() ? SUCCESS : LAUNCH_FAILED; }

inline bool is_pinned(const void* at, size_t bytes) {
    auto next = pinned.upper_bound(reinterpret_cast<uint64_t>(at));
    if (next == pinned.begin()) return false;
    --next;
    return reinterpret_cast<uint64_t>(at) + bytes <= next->first + next->second;
}

inline void push(Stream* s, std::string what, std::vector<int> touches, std::function<std::string()> run,
          const Handle& also = nullptr) {
    s->last = queue_push({std::move(what), std::move(touches), std::move(run), {}}, {s->last, also});
}
