// Device memory as pages of this process whose protection says which device is at work.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "queue.h"

namespace {

constexpr size_t PAGE = 4096;

struct Buffer {
    int device;
    size_t bytes;
    char* pages;
    size_t length;  // of the pages between the guards
    bool freed;
};

std::map<uint64_t, Buffer> buffers;  // by first address
std::vector<int> open_devices;
size_t used[64];

size_t limit() {
    const char* text = std::getenv("SHIM_DEVICE_MEMORY");
    return text ? std::strtoull(text, nullptr, 10) : size_t{4} << 30;
}

bool is_open(int device) { return std::find(open_devices.begin(), open_devices.end(), device) != open_devices.end(); }

std::map<uint64_t, Buffer>::iterator holder(uint64_t address) {
    auto next = buffers.upper_bound(address);
    return next == buffers.begin() ? buffers.end() : std::prev(next);
}

}  // namespace

uint64_t memory_allocate(int device, size_t bytes) {
    if (bytes == 0 || used[device] + bytes > limit()) return 0;
    const size_t length = (bytes + PAGE - 1) / PAGE * PAGE;
    void* at = mmap(nullptr, length + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return 0;
    char* pages = static_cast<char*>(at) + PAGE;
    mprotect(pages, length, PROT_READ | PROT_WRITE);
    std::memset(pages, 0xff, length);
    if (!is_open(device)) mprotect(pages, length, PROT_NONE);
    // The end stands at the guard page, up to the 16 bytes that vector loads may be aligned to.
    const uint64_t address = reinterpret_cast<uint64_t>(pages) + (length - (bytes + 15) / 16 * 16);
    buffers[address] = Buffer{device, bytes, pages, length, false};
    used[device] += bytes;
    return address;
}

bool memory_free(uint64_t address) {
    auto at = buffers.find(address);
    if (at == buffers.end() || at->second.freed) return false;
    Buffer& b = at->second;
    b.freed = true;
    used[b.device] -= b.bytes;
    // New pages without access in the same place: the memory is returned, the addresses are not used again.
    mmap(b.pages, b.length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return true;
}

int memory_owner(uint64_t address, size_t bytes) {
    auto at = holder(address);
    if (at == buffers.end() || at->second.freed) return -1;
    return address + bytes <= at->first + at->second.bytes ? at->second.device : -1;
}

void memory_open(const std::vector<int>& devices) {
    if (devices == open_devices) return;
    const auto before = open_devices;
    open_devices = devices;
    for (auto& [address, b] : buffers) {
        if (b.freed) continue;
        const bool was = std::find(before.begin(), before.end(), b.device) != before.end(), is = is_open(b.device);
        if (was != is) mprotect(b.pages, b.length, is ? PROT_READ | PROT_WRITE : PROT_NONE);
    }
}

void memory_usage(int device, size_t* free, size_t* total) {
    *total = limit();
    *free = *total - used[device];
}

std::string memory_describe(uint64_t address) {
    char hex[32];
    std::snprintf(hex, sizeof hex, "0x%llx", static_cast<unsigned long long>(address));
    for (const auto& [first, b] : buffers) {
        const uint64_t pages = reinterpret_cast<uint64_t>(b.pages);
        if (address < pages - PAGE || address >= pages + b.length + PAGE) continue;
        const std::string buffer = " a buffer of " + std::to_string(b.bytes) + " bytes of device " + std::to_string(b.device);
        if (address < first) return std::string(hex) + ", before" + buffer;
        const std::string offset = std::string(hex) + ", byte " + std::to_string(address - first) + " of";
        if (address >= first + b.bytes) return offset + buffer + ", past its end";
        return offset + buffer + (b.freed ? ", which was freed" : ", which is not the device at work");
    }
    return std::string(hex) + ", in no buffer";
}
