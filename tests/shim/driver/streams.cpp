// Streams and events of the stand-in driver: what puts operations in front of one another, and what waits for them.
#include "driver.h"

Stream* stream_of(void* handle) {
    if (reinterpret_cast<uint64_t>(handle) > 2) {
        auto* stream = static_cast<Stream*>(handle);
        return streams.count(stream) ? stream : nullptr;
    }
    if (!current) return nullptr;
    static thread_local std::map<Device*, Stream*> own;
    Stream*& stream = handle == reinterpret_cast<void*>(2) ? own[current] : current->standard;
    if (!stream) streams.insert(stream = new Stream{current, false});
    return stream;
}

void synchronise(Device* device) {
    for (Stream* s : streams)
        if (s->device == device && s->last) queue_run_until(s->last);
}

extern "C" {

int cuStreamCreate(void** stream, unsigned flags) {
    Lock l(driver_lock);
    if (!current) return INVALID_CONTEXT;
    auto* made = new Stream{current, !(flags & 1)};
    streams.insert(made);
    *stream = made;
    return SUCCESS;
}
int cuStreamCreateWithPriority(void** stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }
int cuStreamDestroy_v2(void* stream) {
    Lock l(driver_lock);
    auto* s = static_cast<Stream*>(stream);
    if (!streams.erase(s)) return INVALID_HANDLE;
    if (const auto capture = s->capture; capture && capture->origin == s) end_capture(capture);
    return SUCCESS;  // its work still runs; its address is not used again, so that a late use is told
}
int cuStreamSynchronize(void* stream) {
    Lock l(driver_lock);
    calls_made["cuStreamSynchronize"]++;
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    if (s->capture) return refuse(s->capture, CAPTURE_UNSUPPORTED);
    if (int refused = refuse_implicit(s)) return refused;
    if (int refused = refuse_if_captured()) return refused;
    return s->last ? finished(queue_run_until(s->last)) : SUCCESS;
}
int cuStreamQuery(void* stream) {
    Lock l(driver_lock);
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    if (s->capture) return refuse(s->capture, CAPTURE_UNSUPPORTED);
    if (int refused = refuse_implicit(s)) return refused;
    if (int refused = refuse_if_captured()) return refused;
    queue_step();
    return !s->last || s->last->done ? SUCCESS : NOT_READY;
}
int cuStreamWaitEvent(void* stream, void* event, unsigned) {
    Lock l(driver_lock);
    Stream* s = stream_of(stream);
    auto* e = static_cast<Event*>(event);
    if (!s || !events.count(e)) return INVALID_HANDLE;
    if (s->capture && s->capture->invalid) return CAPTURE_INVALIDATED;
    if (!e->capture) {
        if (int refused = refuse_implicit(s)) return refused;
        if (!e->recorded) return SUCCESS;
        if (s->capture) return refuse(s->capture, CAPTURE_ISOLATION);
        s->last = queue_push({"event wait", {}, [] { return std::string(); }}, {s->last, e->recorded});
        return SUCCESS;
    }
    if (e->capture->over || e->capture->invalid) return INVALID_VALUE;
    if (s == s->device->standard) return refuse(e->capture, CAPTURE_IMPLICIT);
    if (s->capture && s->capture != e->capture) {
        refuse(s->capture, CAPTURE_MERGE);
        return refuse(e->capture, CAPTURE_MERGE);
    }
    s->capture = e->capture;
    s->frontier.insert(e->frontier.begin(), e->frontier.end());
    return SUCCESS;
}

int cuEventCreate(void** event, unsigned) {
    Lock l(driver_lock);
    if (!current) return INVALID_CONTEXT;
    auto* made = new Event{current};
    events.insert(made);
    *event = made;
    return SUCCESS;
}
int cuEventDestroy_v2(void* event) {
    Lock l(driver_lock);
    return events.erase(static_cast<Event*>(event)) ? SUCCESS : INVALID_HANDLE;
}
int cuEventRecord(void* event, void* stream) {
    Lock l(driver_lock);
    auto* e = static_cast<Event*>(event);
    Stream* s = stream_of(stream);
    if (!s || !events.count(e) || e->device != s->device) return INVALID_HANDLE;
    if (s->capture && s->capture->invalid) return CAPTURE_INVALIDATED;
    if (int refused = refuse_implicit(s)) return refused;
    e->capture = s->capture;
    e->frontier = s->frontier;
    // In a capture it stands for a place in the graph, and for no moment of time.
    e->recorded = s->capture ? nullptr : queue_push({"event record", {}, [] { return std::string(); }}, {s->last});
    if (e->recorded) s->last = e->recorded;
    return SUCCESS;
}
int cuEventSynchronize(void* event) {
    Lock l(driver_lock);
    auto* e = static_cast<Event*>(event);
    if (!events.count(e)) return INVALID_HANDLE;
    if (e->capture) return e->capture->over || e->capture->invalid ? INVALID_VALUE : refuse(e->capture, CAPTURED_EVENT);
    if (int refused = refuse_if_captured()) return refused;
    if (e->recorded && !e->recorded->done) calls_made["wait for an event"]++;
    return e->recorded ? finished(queue_run_until(e->recorded)) : SUCCESS;
}
int cuEventQuery(void* event) {
    Lock l(driver_lock);
    auto* e = static_cast<Event*>(event);
    if (!events.count(e)) return INVALID_HANDLE;
    if (e->capture) return e->capture->over || e->capture->invalid ? INVALID_VALUE : refuse(e->capture, CAPTURED_EVENT);
    if (int refused = refuse_if_captured()) return refused;
    if (e->recorded && !e->recorded->done) queue_step();
    return !e->recorded || e->recorded->done ? SUCCESS : NOT_READY;
}
// Operations between the two, as thousandths: there is no time here.
int cuEventElapsedTime_v2(float* ms, void* from, void* to) {
    Lock l(driver_lock);
    auto *a = static_cast<Event*>(from), *b = static_cast<Event*>(to);
    if (!events.count(a) || !events.count(b)) return INVALID_HANDLE;
    for (const Event* e : {a, b})
        if (e->capture) return e->capture->over || e->capture->invalid ? INVALID_VALUE : CAPTURED_EVENT;
    if (!a->recorded || !b->recorded) return INVALID_HANDLE;
    if (!a->recorded->done || !b->recorded->done) return NOT_READY;
    *ms = (static_cast<float>(b->recorded->done_at) - static_cast<float>(a->recorded->done_at)) / 1000;
    return SUCCESS;
}

}  // extern "C"
