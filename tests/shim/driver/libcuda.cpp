// A stand-in libcuda.so.1: the driver calls that cudarc 0.19.10 makes for contexts, modules and launches (streams.cpp
// has streams and events, graph.cpp captures and graphs, transfers.cpp memory and copies), with kernels run by the host
// shim. Nothing runs before somebody has to wait for it; what runs then is chosen by the seed (queue.h), so a program
// that forgot an event wait gets wrong results with some seed.
//
// Environment: SHIM_DEVICES (4), SHIM_DEVICE_MEMORY (bytes, 4 GiB), SHIM_SEED (2), SHIM_REPORT (a file that gets, at
// exit, each kernel with its number of launches).
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "driver.h"

extern "C" const char* alx_host_launches(size_t i, unsigned long long* launches);

namespace {

// Names of the functions in a cubin: the global symbols of an ELF file. Or the lines of a text "alx-kernels\n…".
bool names_of(const char* image, std::set<std::string>& names) {
    const char text[] = "alx-kernels\n";
    if (!std::strncmp(image, text, sizeof text - 1)) {
        std::string name;
        for (const char* c = image + sizeof text - 1;; c++) {
            if (*c && *c != '\n') {
                name += *c;
                continue;
            }
            if (!name.empty()) names.insert(name);
            name.clear();
            if (!*c) return true;
        }
    }
    if (std::memcmp(image, "\x7f" "ELF\x02", 5)) return false;
    const auto word = [&](size_t at, auto value) {
        std::memcpy(&value, image + at, sizeof value);
        return value;
    };
    const uint64_t sections = word(40, uint64_t{});
    const size_t size = word(58, uint16_t{}), count = word(60, uint16_t{});
    for (size_t i = 0; i < count; i++) {
        const uint64_t section = sections + i * size;
        if (word(section + 4, uint32_t{}) != 2) continue;  // SHT_SYMTAB
        const uint64_t table = word(section + 24, uint64_t{}), bytes = word(section + 32, uint64_t{});
        const uint64_t strings = word(sections + word(section + 40, uint32_t{}) * size + 24, uint64_t{});
        for (uint64_t symbol = table; symbol < table + bytes; symbol += 24)
            if ((word(symbol + 4, uint8_t{}) & 15) == 2)  // STT_FUNC
                names.insert(image + strings + word(symbol, uint32_t{}));
    }
    return true;
}

void report() {
    const char* path = std::getenv("SHIM_REPORT");
    FILE* file = path ? std::fopen(path, "a") : nullptr;
    if (!file) return;
    unsigned long long launches;
    const char* name;
    for (size_t i = 0; (name = alx_host_launches(i, &launches)); i++)
        if (std::strncmp(name, "shim_", 5)) std::fprintf(file, "%s %llu\n", name, launches);
    std::fclose(file);
}

}  // namespace

extern "C" {

// For tests, beside the driver's own calls.
void alx_driver_seed(uint64_t seed) { Lock l(driver_lock); queue_seed(seed); }
uint64_t alx_driver_calls(const char* name) { Lock l(driver_lock); return calls_made[name]; }
uint64_t alx_driver_peer_bytes() { Lock l(driver_lock); return queue_peer_bytes(); }
// For libnccl: as below, but not before `may` says that others have done their part.
int alx_driver_enqueue_when(void* stream, const char* what, bool (*may)(void*), void (*run)(void*), void (*drop)(void*),
                            void* data) {
    Lock l(driver_lock);
    calls_made["library"]++;
    const std::shared_ptr<void> kept(data, [drop](void* data) { if (drop) drop(data); });
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    Work work{what, {s->device->number}, [=] {
        run(kept.get());
        return std::string();
    }};
    if (may) work.may = [=] { return may(kept.get()); };
    return push(s, std::move(work));
}
// For libcublas: work that runs in its turn on a stream of the driver, perhaps several times, until `drop` takes its data.
int alx_driver_enqueue(void* stream, const char* what, void (*run)(void*), void (*drop)(void*), void* data) {
    return alx_driver_enqueue_when(stream, what, nullptr, run, drop, data);
}

int cuInit(unsigned) {
    Lock l(driver_lock);
    const char* text = std::getenv("SHIM_DEVICES");
    const int count = text ? std::atoi(text) : 4;
    if (count <= 0) return NO_DEVICE;
    if (devices.empty()) {
        for (int i = 0; i < count; i++) devices.push_back(new Device{i});
        std::atexit(report);
    }
    return SUCCESS;
}
// NVRTC looks for this one once it has seen a libcuda, and goes on without it only if told that there is none.
int cuGetExportTable(const void**, const void*) { return NOT_FOUND; }
int cuDriverGetVersion(int* version) { *version = 13000; return SUCCESS; }
int cuDeviceGetCount(int* count) { *count = devices.size(); return SUCCESS; }
int cuDeviceGet(int* device, int ordinal) {
    if (ordinal < 0 || ordinal >= static_cast<int>(devices.size())) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}
int cuDeviceGetName(char* name, int length, int device) {
    std::snprintf(name, length, "stand-in %d", device);
    return SUCCESS;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) { size_t free; memory_usage(device, &free, bytes); return SUCCESS; }
int cuDeviceGetUuid_v2(char* uuid, int device) { std::memset(uuid, device, 16); return SUCCESS; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 1: *value = 1024; break;        // threads per block
        case 8: *value = 48 << 10; break;    // shared memory per block
        case 10: *value = 32; break;         // warp
        case 16: *value = 4; break;          // multiprocessors: few, so that grids stay small
        case 39: *value = 2048; break;       // threads per multiprocessor
        case 41: *value = 1; break;          // one address space
        case 75: *value = 8; break;          // compute capability
        case 76: *value = 0; break;
        case 97: *value = 163 << 10; break;  // shared memory per block, by opting in
        case 115: *value = 1; break;         // cuMemAllocAsync
        default: *value = 0;
    }
    return SUCCESS;
}
int cuDeviceCanAccessPeer(int* can, int device, int peer) { *can = device != peer; return SUCCESS; }
int cuCtxEnablePeerAccess(void* peer, unsigned) { return peer ? SUCCESS : INVALID_CONTEXT; }

int cuDevicePrimaryCtxRetain(void** context, int device) { *context = devices[device]; return SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxSetCurrent(void* context) { current = static_cast<Device*>(context); return SUCCESS; }
int cuCtxGetCurrent(void** context) { *context = current; return SUCCESS; }
int cuCtxGetDevice(int* device) {
    if (!current) return INVALID_CONTEXT;
    *device = current->number;
    return SUCCESS;
}

int cuModuleLoadData(void** module, const void* image) {
    Lock l(driver_lock);
    if (!current) return INVALID_CONTEXT;
    auto made = std::make_unique<Module>();
    made->device = current;
    if (!names_of(static_cast<const char*>(image), made->names)) return INVALID_IMAGE;
    *module = made.release();
    return SUCCESS;
}
int cuModuleUnload(void*) { return SUCCESS; }
int cuModuleGetFunction(void** function, void* module, const char* name) {
    Lock l(driver_lock);
    auto* m = static_cast<Module*>(module);
    const AlxKernel* kernel = m->names.count(name) ? alx_find_kernel(name) : nullptr;
    if (!kernel) return NOT_FOUND;
    Function*& f = m->functions[name];
    if (!f) f = new Function{kernel, m->device};
    *function = f;
    return SUCCESS;
}
int cuFuncGetAttribute(int* value, int attribute, void*) {
    *value = attribute == 0 ? 1024 : attribute == 4 ? 32 : 0;
    return SUCCESS;
}
int cuFuncSetAttribute(void* function, int attribute, int value) {
    if (attribute == 8) static_cast<Function*>(function)->shared_limit = value;
    return SUCCESS;
}
int cuFuncSetCacheConfig(void*, int) { return SUCCESS; }

int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void* stream, void** args, void**) {
    Lock l(driver_lock);
    calls_made["cuLaunchKernel"]++;
    auto* f = static_cast<Function*>(function);
    Stream* s = stream_of(stream);
    if (!s || s->device != f->device) return INVALID_HANDLE;
    if (!gx || !gy || !gz || gy > 65535 || gz > 65535 || !bx || !by || !bz || size_t{bx} * by * bz > 1024 ||
        shared > f->shared_limit)
        return INVALID_VALUE;
    auto values = std::make_shared<std::vector<std::vector<uint64_t>>>();
    for (size_t i = 0; i < f->kernel->count; i++) {
        values->emplace_back((f->kernel->sizes[i] + 7) / 8);
        std::memcpy(values->back().data(), args[i], f->kernel->sizes[i]);
    }
    const AlxKernel* kernel = f->kernel;
    static uint64_t launches = 0;
    const unsigned order = ++launches % 7;
    return push(s, {std::string("kernel ") + kernel->name + " of device " + std::to_string(s->device->number),
         {s->device->number}, [=] {
             const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
             std::vector<void*> pointers;
             for (auto& value : *values) pointers.push_back(value.data());
             char error[512];
             return alx_run_kernel(*kernel, grid, block, shared, pointers.data(), order, error, sizeof error)
                        ? std::string(error) : std::string();
         }});
}
int cuLaunchHostFunc(void* stream, void (*run)(void*), void* data) {
    return alx_driver_enqueue(stream, "host function", run, nullptr, data);
}

int cuGetErrorName(int code, const char** text) {
    switch (code) {
        case SUCCESS: *text = "CUDA_SUCCESS"; break;
        case INVALID_VALUE: *text = "CUDA_ERROR_INVALID_VALUE"; break;
        case OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; break;
        case NO_DEVICE: *text = "CUDA_ERROR_NO_DEVICE"; break;
        case INVALID_DEVICE: *text = "CUDA_ERROR_INVALID_DEVICE"; break;
        case INVALID_IMAGE: *text = "CUDA_ERROR_INVALID_IMAGE"; break;
        case INVALID_CONTEXT: *text = "CUDA_ERROR_INVALID_CONTEXT"; break;
        case INVALID_HANDLE: *text = "CUDA_ERROR_INVALID_HANDLE"; break;
        case ILLEGAL_STATE: *text = "CUDA_ERROR_ILLEGAL_STATE"; break;
        case NOT_FOUND: *text = "CUDA_ERROR_NOT_FOUND"; break;
        case NOT_READY: *text = "CUDA_ERROR_NOT_READY"; break;
        case LAUNCH_FAILED: *text = "CUDA_ERROR_LAUNCH_FAILED"; break;
        case CAPTURE_UNSUPPORTED: *text = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
        case CAPTURE_INVALIDATED: *text = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; break;
        case CAPTURE_MERGE: *text = "CUDA_ERROR_STREAM_CAPTURE_MERGE"; break;
        case CAPTURE_UNMATCHED: *text = "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED"; break;
        case CAPTURE_UNJOINED: *text = "CUDA_ERROR_STREAM_CAPTURE_UNJOINED"; break;
        case CAPTURE_ISOLATION: *text = "CUDA_ERROR_STREAM_CAPTURE_ISOLATION"; break;
        case CAPTURE_IMPLICIT: *text = "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT"; break;
        case CAPTURED_EVENT: *text = "CUDA_ERROR_CAPTURED_EVENT"; break;
        case CAPTURE_WRONG_THREAD: *text = "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD"; break;
        default: *text = "CUDA_ERROR_NOT_SUPPORTED";
    }
    return SUCCESS;
}
int cuGetErrorString(int code, const char** text) { return cuGetErrorName(code, text); }

}  // extern "C"
