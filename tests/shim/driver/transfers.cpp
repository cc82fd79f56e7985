// Memory of the stand-in driver, and copies: each is work on a stream, done when somebody waits for it.
#include "driver.h"

namespace {

int copy(Stream* s, const char* what, void* to, const void* from, size_t bytes, std::vector<int> touches, bool peers = false) {
    return push(s, {std::string(what) + " of " + std::to_string(bytes) + " bytes", std::move(touches), [=] {
        std::memcpy(to, from, bytes);
        return std::string();
    }, peers ? bytes : 0});
}

int wait(Stream* s, int result) { return result ? result : s && s->last ? finished(queue_run_until(s->last)) : SUCCESS; }

int host_to_device(uint64_t to, const void* from, size_t bytes, Stream* s) {
    if (!s || !bytes) return s ? SUCCESS : INVALID_CONTEXT;
    const int device = memory_owner(to, bytes);
    if (device < 0) return INVALID_VALUE;
    void* target = reinterpret_cast<void*>(to);
    // Pinned memory is read when the copy runs; pageable memory is staged before the call returns, except in a capture,
    // where each launch reads it anew.
    if (s->capture || is_pinned(from, bytes)) return copy(s, "copy from the host", target, from, bytes, {device});
    auto staged = std::make_shared<std::vector<char>>(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
    return push(s, {"copy from the host of " + std::to_string(bytes) + " bytes", {device}, [=] {
        std::memcpy(target, staged->data(), bytes);
        return std::string();
    }});
}

int device_to_host(void* to, uint64_t from, size_t bytes, Stream* s) {
    if (!s || !bytes) return s ? SUCCESS : INVALID_CONTEXT;
    const int device = memory_owner(from, bytes);
    if (device < 0) return INVALID_VALUE;
    const int result = copy(s, "copy to the host", to, reinterpret_cast<void*>(from), bytes, {device});
    return s->capture || is_pinned(to, bytes) ? result : wait(s, result);
}

// Within a device or between two, as the addresses say.
int device_to_device(uint64_t to, uint64_t from, size_t bytes, Stream* s) {
    if (!s) return INVALID_HANDLE;
    const int target = memory_owner(to, bytes), source = memory_owner(from, bytes);
    if (target < 0 || source < 0) return INVALID_VALUE;
    const bool peers = target != source;
    return copy(s, peers ? "peer copy" : "copy within a device", reinterpret_cast<void*>(to), reinterpret_cast<void*>(from),
                bytes, peers ? std::vector<int>{target, source} : std::vector<int>{target}, peers);
}

int set_bytes(uint64_t to, unsigned char value, size_t bytes, Stream* s) {
    if (!s || !bytes) return s ? SUCCESS : INVALID_CONTEXT;
    const int device = memory_owner(to, bytes);
    if (device < 0) return INVALID_VALUE;
    return push(s, {"setting " + std::to_string(bytes) + " bytes", {device}, [=] {
        std::memset(reinterpret_cast<void*>(to), value, bytes);
        return std::string();
    }});
}

}  // namespace

extern "C" {

int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    Lock l(driver_lock);
    if (!current) return INVALID_CONTEXT;
    if (int refused = refuse_if_captured()) return refused;
    *address = memory_allocate(current->number, bytes);
    return *address ? SUCCESS : bytes ? OUT_OF_MEMORY : INVALID_VALUE;
}
int cuMemFree_v2(uint64_t address) {
    Lock l(driver_lock);
    if (int refused = refuse_if_captured()) return refused;
    if (current) synchronise(current);  // as the driver does
    return memory_free(address) ? SUCCESS : INVALID_VALUE;
}
// In stream order: the memory is there, full of NaN, when the stream comes to this place, but for the stream only.
int cuMemAllocAsync(uint64_t* address, size_t bytes, void* stream) {
    Lock l(driver_lock);
    calls_made["cuMemAllocAsync"]++;
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    if (s->capture) return s->capture->invalid ? CAPTURE_INVALIDATED : NOT_SUPPORTED;  // a node on a GPU, not here
    if (int refused = refuse_implicit(s)) return refused;
    if (int refused = refuse_if_captured()) return refused;
    *address = memory_allocate(s->device->number, bytes);
    return *address ? SUCCESS : bytes ? OUT_OF_MEMORY : INVALID_VALUE;
}
int cuMemFreeAsync(uint64_t address, void* stream) {
    Lock l(driver_lock);
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    if (s->capture) return INVALID_VALUE;  // a graph frees nothing but what it allocated
    if (int refused = refuse_if_captured()) return refused;
    if (memory_owner(address, 1) < 0) return INVALID_VALUE;
    return push(s, {"free", {}, [=] { return memory_free(address) ? "" : std::string("freed twice"); }});
}
int cuMemGetInfo_v2(size_t* free, size_t* total) {
    Lock l(driver_lock);
    if (!current) return INVALID_CONTEXT;
    memory_usage(current->number, free, total);
    return SUCCESS;
}
int cuMemHostAlloc(void** host, size_t bytes, unsigned) {
    Lock l(driver_lock);
    if (int refused = refuse_if_captured()) return refused;
    *host = std::malloc(bytes);
    if (!*host) return OUT_OF_MEMORY;
    std::memset(*host, 0xff, bytes);
    pinned[reinterpret_cast<uint64_t>(*host)] = bytes;
    return SUCCESS;
}
int cuMemFreeHost(void* host) {
    Lock l(driver_lock);
    if (int refused = refuse_if_captured()) return refused;
    queue_run_until(nullptr);  // as the driver does
    if (!pinned.erase(reinterpret_cast<uint64_t>(host))) return INVALID_VALUE;
    std::free(host);
    return SUCCESS;
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
    Lock l(driver_lock);
    calls_made["cuMemcpyHtoDAsync"]++;
    return host_to_device(to, from, bytes, stream_of(stream));
}
int cuMemcpyHtoD_v2(uint64_t to, const void* from, size_t bytes) {
    Lock l(driver_lock);
    Stream* s = stream_of(nullptr);
    return wait(s, host_to_device(to, from, bytes, s));
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
    Lock l(driver_lock);
    return device_to_host(to, from, bytes, stream_of(stream));
}
int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t bytes) {
    Lock l(driver_lock);
    Stream* s = stream_of(nullptr);
    return wait(s, device_to_host(to, from, bytes, s));
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
    Lock l(driver_lock);
    calls_made["cuMemcpyDtoDAsync"]++;
    return device_to_device(to, from, bytes, stream_of(stream));
}
int cuMemcpyPeerAsync(uint64_t to, void* to_context, uint64_t from, void* from_context, size_t bytes, void* stream) {
    Lock l(driver_lock);
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    if (s->capture) return refuse(s->capture, CAPTURE_UNSUPPORTED);  // cuMemcpyDtoDAsync between devices is captured
    const int target = memory_owner(to, bytes), source = memory_owner(from, bytes);
    if (target < 0 || source < 0 || devices[target] != to_context || devices[source] != from_context) return INVALID_VALUE;
    return device_to_device(to, from, bytes, s);
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* stream) {
    Lock l(driver_lock);
    return set_bytes(to, value, bytes, stream_of(stream));
}
int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes) {
    Lock l(driver_lock);
    return set_bytes(to, value, bytes, stream_of(nullptr));
}

}  // extern "C"
