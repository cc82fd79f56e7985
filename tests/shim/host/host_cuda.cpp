// The scheduler of the host shim: runs the threads of a block as fibres, in a chosen order, and finds barriers that
// not every thread reaches, threads that wait at different barriers, and shuffles whose lanes don't all come.
//
// Between two barriers each thread runs alone to the next barrier. Any order is one that a GPU may show, so results
// that differ between orders mean a missing barrier or a race; that none differs proves nothing about orders not run.
#include "host_cuda.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#ifndef __x86_64__
#error "the host shim's fibre switch is written for x86-64"
#endif

__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

// Saves the callee-saved registers on this stack, notes its top in *from, and goes on with the other stack.
asm(R"(
.text
.globl alx_switch
.type alx_switch, @function
alx_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size alx_switch, .-alx_switch
)");
extern "C" void alx_switch(void** from, void* to);

namespace {

constexpr size_t STACK = 128 << 10, PAGE = 4096, WARP = 32;

enum class State { Ready, BlockWait, WarpWait, Done };

struct Fibre {
    char* stack = nullptr;
    void* top = nullptr;
    State state = State::Ready;
    uint3 index{};
    const char* file = nullptr;
    int line = 0;
    unsigned mask = 0;
    uint32_t value = 0;
};

struct Scheduler {
    std::vector<Fibre> fibres;
    void* home = nullptr;
    Fibre* current = nullptr;
    size_t threads = 0;
    void (*call)(void**) = nullptr;
    void** args = nullptr;
    void* shared = nullptr;
};

thread_local Scheduler scheduler;

void enter() {
    scheduler.call(scheduler.args);
    Fibre* self = scheduler.current;
    self->state = State::Done;
    alx_switch(&self->top, scheduler.home);
    std::abort();  // a finished fibre is never resumed
}

void suspend(State state, unsigned mask, const char* file, int line) {
    Fibre* self = scheduler.current;
    self->state = state;
    self->mask = mask;
    self->file = file;
    self->line = line;
    alx_switch(&self->top, scheduler.home);
}

// A fresh stack ends in six registers, the entry and a null return address, so the entry sees the alignment of a call.
void prepare(Fibre& f) {
    if (!f.stack) {
        void* at = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) std::abort();
        mprotect(at, PAGE, PROT_NONE);
        f.stack = static_cast<char*>(at);
    }
    void** top = reinterpret_cast<void**>(f.stack + STACK) - 8;
    std::memset(top, 0, 64);
    top[6] = reinterpret_cast<void*>(&enter);
    f.top = top;
    f.state = State::Ready;
}

std::string place(const Fibre& f) { return std::string(f.file) + ":" + std::to_string(f.line); }

std::string name(const Fibre& f) {
    return "thread (" + std::to_string(f.index.x) + "," + std::to_string(f.index.y) + "," + std::to_string(f.index.z) + ")";
}

// Lets go the first warp whose mask's lanes all wait with this mask at this place: it runs to the block's next barrier
// while the others stand still, so that a barrier missing between warps shows.
bool release_warp(const std::vector<unsigned>& order) {
    auto& fibres = scheduler.fibres;
    for (unsigned i : order) {
        if (fibres[i].state != State::WarpWait) continue;
        const Fibre leader = fibres[i];
        const size_t base = i / WARP * WARP;
        bool complete = true;
        for (size_t lane = 0; lane < WARP && complete; lane++) {
            if (!(leader.mask >> lane & 1)) continue;
            const size_t at = base + lane;
            complete = at < scheduler.threads && fibres[at].state == State::WarpWait && fibres[at].mask == leader.mask &&
                       fibres[at].file == leader.file && fibres[at].line == leader.line;
        }
        if (!complete) continue;
        for (size_t lane = 0; lane < WARP; lane++)
            if (leader.mask >> lane & 1) fibres[base + lane].state = State::Ready;
        return true;
    }
    return false;
}

// Lets go the block's barrier if every thread waits at the same one; else says what is wrong.
std::string release_block() {
    auto& fibres = scheduler.fibres;
    const Fibre* first = nullptr;
    const Fibre* done = nullptr;
    for (size_t i = 0; i < scheduler.threads; i++) {
        const Fibre& f = fibres[i];
        if (f.state == State::WarpWait)
            return name(f) + " waits at " + place(f) + " for lanes of its warp that never come";
        if (f.state == State::Done) done = &f;
        if (f.state != State::BlockWait) continue;
        if (first && (f.file != first->file || f.line != first->line))
            return "divergent barrier: " + name(*first) + " waits at " + place(*first) + ", " + name(f) + " at " + place(f);
        first = &f;
    }
    if (first && done) return "missed barrier: " + name(*first) + " waits at " + place(*first) + ", " + name(*done) + " has ended";
    for (size_t i = 0; i < scheduler.threads; i++) fibres[i].state = State::Ready;
    return "";
}

uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

std::vector<unsigned> sequence(unsigned n, unsigned order, uint64_t salt) {
    std::vector<unsigned> s(n);
    for (unsigned i = 0; i < n; i++) s[i] = order == 1 ? n - 1 - i : i;
    if (order > 1)
        for (unsigned i = n; i > 1; i--) std::swap(s[i - 1], s[mix(salt * 0x9E3779B97F4A7C15ull + order + i) % i]);
    return s;
}

std::string run_block(const std::vector<unsigned>& order) {
    auto& fibres = scheduler.fibres;
    for (size_t i = 0; i < scheduler.threads; i++) prepare(fibres[i]);
    for (;;) {
        size_t done = 0;
        for (unsigned i : order) {
            Fibre& f = fibres[i];
            if (f.state == State::Ready) {
                scheduler.current = &f;
                threadIdx = f.index;
                alx_switch(&scheduler.home, f.top);
            }
            done += f.state == State::Done;
        }
        if (done == scheduler.threads) return "";
        if (release_warp(order)) continue;
        std::string wrong = release_block();
        if (!wrong.empty()) return wrong;
    }
}

// How often each kernel ran in this process, for the report of those never launched.
std::vector<std::atomic<unsigned long long>>& counts() {
    static std::vector<std::atomic<unsigned long long>> made(alx_kernel_count);
    return made;
}

}  // namespace

void* alx_dyn_smem() { return scheduler.shared; }
void alx_block_wait(const char* file, int line) { suspend(State::BlockWait, 0, file, line); }
void alx_warp_wait(unsigned mask, const char* file, int line) { suspend(State::WarpWait, mask, file, line); }

uint32_t alx_shuffle(unsigned mask, uint32_t value, unsigned lane, const char* file, int line) {
    Fibre* self = scheduler.current;
    const size_t index = self - scheduler.fibres.data(), base = index / WARP * WARP;
    self->value = value;
    suspend(State::WarpWait, mask, file, line);
    const uint32_t got = lane < WARP ? scheduler.fibres[base + lane].value : value;
    suspend(State::WarpWait, mask, file, line);
    return got;
}

AlxWarp& alx_warp_exchange() {
    static thread_local AlxWarp warps[1024 / WARP];
    return warps[threadIdx.x / WARP];
}

namespace {
float of_half(unsigned pair, int which) {
    const uint32_t bits = which ? pair & 0xffff0000u : pair << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
}  // namespace

void alx_warp_multiply_at(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], const char* file, int line) {
    AlxWarp& warp = alx_warp_exchange();
    const unsigned lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    std::memcpy(warp.a[lane], a, sizeof a);
    std::memcpy(warp.b[lane], b, sizeof b);
    alx_warp_wait(0xffffffffu, file, line);
    for (int i = 0; i < 4; i++) {
        const unsigned column = 2 * t + i % 2;
        float sum = d[i];
        for (int high = 0; high < 2; high++)
            for (unsigned pair = 0; pair < 4; pair++)
                for (int which = 0; which < 2; which++)
                    sum += of_half(warp.a[g * 4 + pair][i / 2 + 2 * high], which) * of_half(warp.b[column * 4 + pair][high], which);
        d[i] = sum;
    }
    alx_warp_wait(0xffffffffu, file, line);
}

void alx_warp_load_at(unsigned (&to)[4], const void* row, bool turned, const char* file, int line) {
    AlxWarp& warp = alx_warp_exchange();
    const unsigned lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    warp.rows[lane] = row;
    alx_warp_wait(0xffffffffu, file, line);
    for (unsigned square = 0; square < 4; square++) {
        uint16_t pair[2];
        for (unsigned i = 0; i < 2; i++) {
            const unsigned row = turned ? 2 * t + i : g, column = turned ? g : 2 * t + i;
            std::memcpy(&pair[i], static_cast<const char*>(warp.rows[square * 8 + row]) + 2 * column, 2);
        }
        to[square] = pair[0] | static_cast<unsigned>(pair[1]) << 16;
    }
    alx_warp_wait(0xffffffffu, file, line);
}

const AlxKernel* alx_find_kernel(const char* name) {
    for (size_t i = 0; i < alx_kernel_count; i++)
        if (!std::strcmp(alx_kernels[i].name, name)) return &alx_kernels[i];
    return nullptr;
}

int alx_run_kernel(const AlxKernel& kernel, const unsigned grid[3], const unsigned block[3], size_t shared, void** args,
                   unsigned order, char* error, size_t error_size) {
    const size_t threads = size_t{block[0]} * block[1] * block[2], blocks = size_t{grid[0]} * grid[1] * grid[2];
    if (threads == 0 || threads > 1024 || blocks == 0 || blocks >= 1u << 31) {
        std::snprintf(error, error_size, "%s: a launch of %zu blocks of %zu threads", kernel.name, blocks, threads);
        return 1;
    }
    if (scheduler.fibres.size() < threads) scheduler.fibres.resize(threads);
    scheduler.threads = threads;
    scheduler.call = kernel.call;
    scheduler.args = args;
    blockDim = {block[0], block[1], block[2]};
    gridDim = {grid[0], grid[1], grid[2]};
    for (unsigned i = 0; i < threads; i++)
        scheduler.fibres[i].index = {i % block[0], i / block[0] % block[1], i / block[0] / block[1]};
    // Exactly as long as asked for, so that a sanitizer sees an overrun; NaN, so that a forgotten write is seen.
    std::vector<unsigned char> memory(shared);
    scheduler.shared = memory.data();
    const auto thread_order = sequence(threads, order, 1);
    std::string wrong;
    for (unsigned b : sequence(blocks, order, 2)) {
        std::fill(memory.begin(), memory.end(), 0xff);
        blockIdx = {b % grid[0], b / grid[0] % grid[1], b / grid[0] / grid[1]};
        wrong = run_block(thread_order);
        if (!wrong.empty()) break;
    }
    scheduler.shared = nullptr;
    counts()[&kernel - alx_kernels]++;
    if (wrong.empty()) return 0;
    std::snprintf(error, error_size, "%s: block (%u,%u,%u): %s", kernel.name, blockIdx.x, blockIdx.y, blockIdx.z, wrong.c_str());
    return 1;
}

// For the Rust tests: by name, with the sizes of the arguments checked.
extern "C" int alx_host_launch(const char* name, const unsigned* grid, const unsigned* block, size_t shared, void** args,
                               const size_t* sizes, size_t count, unsigned order, char* error, size_t error_size) {
    const AlxKernel* kernel = alx_find_kernel(name);
    if (!kernel) {
        std::snprintf(error, error_size, "%s: no such kernel", name);
        return 1;
    }
    if (count != kernel->count) {
        std::snprintf(error, error_size, "%s: %zu arguments, %zu expected", name, count, kernel->count);
        return 1;
    }
    for (size_t i = 0; i < count; i++)
        if (sizes[i] != kernel->sizes[i]) {
            std::snprintf(error, error_size, "%s: argument %zu has %zu bytes, %zu expected", name, i, sizes[i], kernel->sizes[i]);
            return 1;
        }
    return alx_run_kernel(*kernel, grid, block, shared, args, order, error, error_size);
}

// Name and number of launches of kernel i; null past the end.
extern "C" const char* alx_host_launches(size_t i, unsigned long long* launches) {
    if (i >= alx_kernel_count) return nullptr;
    *launches = counts()[i];
    return alx_kernels[i].name;
}
