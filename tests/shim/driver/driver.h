// What the parts of the stand-in driver share: its handles, its state, and how work is put on a stream. One lock guards
// all of it (driver_lock); the functions here are called with it held.
#pragma once
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "../host/host_cuda.h"
#include "queue.h"

enum Result {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500, NOT_READY = 600,
    LAUNCH_FAILED = 719, NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_MERGE = 902,
    CAPTURE_UNMATCHED = 903, CAPTURE_UNJOINED = 904, CAPTURE_ISOLATION = 905, CAPTURE_IMPLICIT = 906, CAPTURED_EVENT = 907,
    CAPTURE_WRONG_THREAD = 908
};

struct Stream;
struct Device {
    int number;
    Stream* standard = nullptr;
};
// Work recorded by a capture, and the earlier nodes that it waits for.
struct Node {
    Work work;
    std::vector<size_t> front;
};
enum Mode { GLOBAL, THREAD_LOCAL, RELAXED };
// What streams record instead of doing it, from the beginning on `origin` to the end there.
struct Capture {
    Stream* origin;
    Mode mode;
    std::thread::id thread;
    bool invalid = false;  // a forbidden call came: no graph will come of it
    bool over = false;
    std::vector<Node> nodes = {};
};
struct Stream {
    Device* device;
    bool blocking;  // would wait for the null stream on a GPU, which only captures notice here
    Handle last = nullptr;
    std::shared_ptr<Capture> capture = nullptr;
    std::set<size_t> frontier = {};  // nodes that the next one waits for
};
struct Event {
    Device* device;
    Handle recorded = nullptr;
    std::shared_ptr<Capture> capture = nullptr;  // set if it was last recorded in one, with the nodes it stands for
    std::set<size_t> frontier = {};
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

// How often the driver's calls were made, of those that tests count.
inline std::map<std::string, uint64_t> calls_made;

using Lock = std::lock_guard<std::recursive_mutex>;

// The stream of a handle, or null. Null and 1 are the device's own stream, which here does not wait for the others; 2 is
// the thread's own.
Stream* stream_of(void* handle);
// Queues work on a stream, or records it if the stream captures.
int push(Stream* s, Work work);
// Waits for all work of a device.
void synchronise(Device* device);

inline int finished(const std::string& failure) { return failure.empty() ? SUCCESS : LAUNCH_FAILED; }

// Refuses a call that a capture under way cannot see (it allocates, waits or asks) and spoils that capture: captures of
// this thread, and global ones of any, unless they are relaxed.
int refuse_if_captured();
// Refuses what a stream that captures cannot do, and spoils its capture.
int refuse(const std::shared_ptr<Capture>& capture, int error);
// Lets go all streams of a capture.
void end_capture(const std::shared_ptr<Capture>& capture);
// The null stream's work would wait for blocking streams; while one captures, that is refused.
int refuse_implicit(Stream* s);

inline bool is_pinned(const void* at, size_t bytes) {
    auto next = pinned.upper_bound(reinterpret_cast<uint64_t>(at));
    if (next == pinned.begin()) return false;
    --next;
    return reinterpret_cast<uint64_t>(at) + bytes <= next->first + next->second;
}
