// A stand-in libnccl.so.2: sums over the ranks of a communicator, which may be threads of this process or other processes.
// A sum is two pieces of work on the stand-in driver's stream: the rank's values are laid open in shared memory, and once
// all ranks' are there, each adds them up from the first rank to the last. So every rank gets the same bits, nothing is
// summed before the stream comes to it, and a rank whose peer does not come waits for ever, as with NCCL, until the
// communicator is aborted.
//
// Environment: SHIM_NCCL_ERROR (the communicator reports a remote error once that many sums were asked for).
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

extern "C" int alx_driver_enqueue_when(void* stream, const char* what, bool (*may)(void*), void (*run)(void*),
                                       void (*drop)(void*), void* data);
extern "C" int cuCtxGetDevice(int* device);

namespace {

enum Result { SUCCESS = 0, UNHANDLED_CUDA = 1, SYSTEM = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5, REMOTE = 6 };
constexpr int MAX_RANKS = 8, FLOAT32 = 7, FLOAT64 = 8, SUM = 0;
constexpr size_t SLOT = size_t{256} << 20;  // of one sum of one rank; only touched pages take memory

struct Call {
    size_t count;
    int type;
};
struct Rank {
    std::atomic<uint32_t> here;
    std::atomic<int> device, process;
    std::atomic<uint64_t> given;  // sums whose values lie open
    Call calls[2];
};
// What all ranks map. A rank gives its values to sum s + 2 only after it has taken sum s + 1, for which all have given
// theirs after taking sum s: two slots a rank are enough.
struct Shared {
    Rank ranks[MAX_RANKS];
};
constexpr size_t HEAD = 4096;
static_assert(sizeof(Shared) <= HEAD, "the table fits in front of the slots");

struct Comm {
    int rank, ranks;
    char* memory;
    size_t bytes;
    std::atomic<bool> aborted{false};
    uint64_t given = 0, taken = 0;  // by this rank, in the order of its stream
    std::atomic<uint64_t> asked{0};

    Rank& of(int r) const { return reinterpret_cast<Shared*>(memory)->ranks[r]; }
    char* slot(int r, uint64_t sum) const { return memory + HEAD + (r * 2 + sum % 2) * SLOT; }
    ~Comm() { munmap(memory, bytes); }
};
using Handle = std::shared_ptr<Comm>;  // work on streams outlives the communicator

struct Sum {
    Handle comm;
    const void* from;
    void* to;
    Call call;
};

size_t width(int type) { return type == FLOAT32 ? 4 : 8; }

void give(void* data) {
    const auto& [comm, from, to, call] = *static_cast<Sum*>(data);
    if (comm->aborted) return;
    const uint64_t sum = comm->given++;
    Rank& own = comm->of(comm->rank);
    own.calls[sum % 2] = call;
    std::memcpy(comm->slot(comm->rank, sum), from, call.count * width(call.type));
    own.given.store(comm->given, std::memory_order_release);
}

bool all_given(void* data) {
    const auto& comm = static_cast<Sum*>(data)->comm;
    if (comm->aborted) return true;
    for (int r = 0; r < comm->ranks; r++)
        if (comm->of(r).given.load(std::memory_order_acquire) <= comm->taken) return false;
    return true;
}

template <class T>
void add(const Comm& comm, uint64_t sum, T* to, size_t count) {
    for (size_t i = 0; i < count; i++) {
        T value = reinterpret_cast<T*>(comm.slot(0, sum))[i];
        for (int r = 1; r < comm.ranks; r++) value += reinterpret_cast<T*>(comm.slot(r, sum))[i];
        to[i] = value;
    }
}

void take(void* data) {
    const auto& [comm, from, to, call] = *static_cast<Sum*>(data);
    if (comm->aborted) return;
    const uint64_t sum = comm->taken;
    for (int r = 0; r < comm->ranks; r++) {
        const Call& other = comm->of(r).calls[sum % 2];
        if (other.count == call.count && other.type == call.type) continue;
        std::fprintf(stderr, "stand-in NCCL: sum %llu is of %zu values at rank %d and of %zu at rank %d\n",
                     static_cast<unsigned long long>(sum), call.count, comm->rank, other.count, r);
        _exit(71);
    }
    if (call.type == FLOAT32) add(*comm, sum, static_cast<float*>(to), call.count);
    else add(*comm, sum, static_cast<double*>(to), call.count);
    comm->taken++;
}

void drop(void* data) { delete static_cast<Sum*>(data); }

}  // namespace

extern "C" {

struct ncclUniqueId { char internal[128]; };

int ncclGetVersion(int* version) { *version = 22707; return SUCCESS; }
int ncclGetUniqueId(ncclUniqueId* id) {
    static std::atomic<unsigned> count{0};
    std::memset(id->internal, 0, sizeof id->internal);
    std::snprintf(id->internal, sizeof id->internal, "alx-nccl-%d-%u", getpid(), count++);
    return SUCCESS;
}

// Returns when all ranks have come, as NCCL does.
int ncclCommInitRank(void** comm, int ranks, ncclUniqueId id, int rank) {
    int device;
    if (ranks < 1 || ranks > MAX_RANKS || rank < 0 || rank >= ranks) return INVALID_ARGUMENT;
    if (std::strncmp(id.internal, "alx-nccl-", 9) || cuCtxGetDevice(&device)) return INVALID_ARGUMENT;
    const std::string name = std::string("/") + id.internal;
    const size_t bytes = HEAD + 2 * SLOT * ranks;
    const int file = shm_open(name.c_str(), O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, static_cast<off_t>(bytes))) return SYSTEM;
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    close(file);
    if (at == MAP_FAILED) return SYSTEM;
    auto* made = new Comm{rank, ranks, static_cast<char*>(at), bytes};
    Rank& own = made->of(rank);
    own.device = device;
    own.process = getpid();
    own.here.store(1);
    for (int r = 0; r < ranks; r++)
        while (!made->of(r).here.load()) usleep(100);
    if (rank == 0) shm_unlink(name.c_str());  // nobody opens it any more; it goes with the last rank
    // Two ranks on one device are refused. Processes that see several devices see the same ones; one alone is another's own.
    const char* visible = std::getenv("SHIM_DEVICES");
    const bool alone = visible && !std::strcmp(visible, "1");
    for (int r = 0; r < ranks; r++)
        if (r != rank && made->of(r).device == device && !(alone && made->of(r).process != getpid())) {
            delete made;
            return INVALID_USAGE;
        }
    *comm = new Handle(made);
    return SUCCESS;
}
int ncclCommDestroy(void* comm) { delete static_cast<Handle*>(comm); return SUCCESS; }
int ncclCommAbort(void* comm) {
    (*static_cast<Handle*>(comm))->aborted = true;
    return ncclCommDestroy(comm);
}
int ncclCommGetAsyncError(void* comm, int* error) {
    const char* text = std::getenv("SHIM_NCCL_ERROR");
    const Handle& c = *static_cast<Handle*>(comm);
    *error = text && c->asked >= std::strtoull(text, nullptr, 10) ? REMOTE : SUCCESS;
    return SUCCESS;
}

int ncclAllReduce(const void* from, void* to, size_t count, int type, int op, void* comm, void* stream) {
    const Handle& c = *static_cast<Handle*>(comm);
    if ((type != FLOAT32 && type != FLOAT64) || op != SUM || count * width(type) > SLOT) return INVALID_ARGUMENT;
    c->asked++;
    const auto sum = [&] { return new Sum{c, from, to, {count, type}}; };
    if (alx_driver_enqueue_when(stream, "giving values to a sum over ranks", nullptr, give, drop, sum())) return UNHANDLED_CUDA;
    return alx_driver_enqueue_when(stream, "a sum over ranks", all_given, take, drop, sum()) ? UNHANDLED_CUDA : SUCCESS;
}

const char* ncclGetErrorString(int result) {
    switch (result) {
        case SUCCESS: return "no error";
        case UNHANDLED_CUDA: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
        case SYSTEM: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
        case INVALID_ARGUMENT: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
        case INVALID_USAGE: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
        case REMOTE: return "remote process exited or there was a network error";
        default: return "unknown result code";
    }
}
const char* ncclGetLastError(void*) { return ""; }

}  // extern "C"
