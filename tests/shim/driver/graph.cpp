// Captures and graphs of the stand-in driver. While a stream captures, its work becomes nodes of a graph, behind the nodes
// that the stream's order and its event waits put in front; a launch queues all nodes, in no other order. Which call is
// refused with which error, and whether that spoils the capture, was read off a GPU's driver (tests/driver/graph.rs).
#include <algorithm>

#include "driver.h"

namespace {

struct Graph {
    std::shared_ptr<const std::vector<Node>> nodes;
    Handle last = nullptr;  // of an instance: the end of its last launch, which the next one waits for
};

std::set<std::shared_ptr<Capture>> captures;  // those not over
std::set<Graph*> graphs, instances;
int refused_captures = 0;
thread_local int thread_mode = GLOBAL;

// Whether the origin's next node would wait for all others.
bool joined(const Capture& capture) {
    std::vector<bool> reached(capture.nodes.size());
    for (size_t i : capture.origin->frontier) reached[i] = true;
    for (size_t i = reached.size(); i-- > 0;)
        if (reached[i])
            for (size_t before : capture.nodes[i].front) reached[before] = true;
    return std::find(reached.begin(), reached.end(), false) == reached.end();
}

}  // namespace

void end_capture(const std::shared_ptr<Capture>& capture) {
    capture->over = true;
    captures.erase(capture);
    for (Stream* s : streams)
        if (s->capture == capture) {
            s->capture = nullptr;
            s->frontier.clear();
        }
}

int refuse(const std::shared_ptr<Capture>& capture, int error) {
    capture->invalid = true;
    return error;
}

int refuse_if_captured() {
    if (thread_mode == RELAXED) return SUCCESS;
    int result = SUCCESS;
    for (const auto& capture : captures) {
        const bool ours = capture->thread == std::this_thread::get_id();
        if (ours ? capture->mode != RELAXED : capture->mode == GLOBAL && thread_mode == GLOBAL)
            result = refuse(capture, CAPTURE_UNSUPPORTED);
    }
    return result;
}

int refuse_implicit(Stream* s) {
    int result = SUCCESS;
    if (s == s->device->standard)
        for (Stream* other : streams)
            if (other->blocking && other->device == s->device && other->capture) result = refuse(other->capture, CAPTURE_IMPLICIT);
    return result;
}

int push(Stream* s, Work work) {
    if (int refused = refuse_implicit(s)) return refused;
    if (!s->capture) {
        s->last = queue_push(std::move(work), {s->last});
        return SUCCESS;
    }
    if (s->capture->invalid) return CAPTURE_INVALIDATED;
    work.what += " in a graph";
    s->capture->nodes.push_back({std::move(work), {s->frontier.begin(), s->frontier.end()}});
    s->frontier = {s->capture->nodes.size() - 1};
    return SUCCESS;
}

extern "C" {

// For tests: a driver that refuses to begin captures (1), or spoils each (2).
void alx_driver_refuse_captures(int how) { Lock l(driver_lock); refused_captures = how; }
// For tests: graphs and instances that nobody has destroyed.
uint64_t alx_driver_graphs() { Lock l(driver_lock); return graphs.size() + instances.size(); }

int cuCtxSynchronize() {
    Lock l(driver_lock);
    if (!current) return INVALID_CONTEXT;
    int refused = SUCCESS;
    for (Stream* s : streams)
        if (s->device == current && s->capture) refused = refuse(s->capture, CAPTURE_UNSUPPORTED);
    if (refused || (refused = refuse_if_captured())) return refused;
    synchronise(current);
    return finished(queue_failure());
}

int cuThreadExchangeStreamCaptureMode(int* mode) {
    if (*mode < GLOBAL || *mode > RELAXED) return INVALID_VALUE;
    std::swap(*mode, thread_mode);
    return SUCCESS;
}
int cuStreamBeginCapture_v2(void* stream, int mode) {
    Lock l(driver_lock);
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    if (mode < GLOBAL || mode > RELAXED) return INVALID_VALUE;
    if (s == s->device->standard) return CAPTURE_UNSUPPORTED;
    if (s->capture) return ILLEGAL_STATE;
    calls_made["cuStreamBeginCapture"]++;
    if (refused_captures == 1) return NOT_SUPPORTED;
    s->capture = std::make_shared<Capture>(Capture{s, static_cast<Mode>(mode), std::this_thread::get_id()});
    captures.insert(s->capture);
    s->capture->invalid = refused_captures == 2;
    return SUCCESS;
}
int cuStreamIsCapturing(void* stream, int* status) {
    Lock l(driver_lock);
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    if (int refused = refuse_implicit(s)) return refused;
    *status = !s->capture ? 0 : s->capture->invalid ? 2 : 1;
    return SUCCESS;
}
int cuStreamEndCapture(void* stream, void** graph) {
    Lock l(driver_lock);
    *graph = nullptr;
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    const auto capture = s->capture;
    if (!capture) return ILLEGAL_STATE;
    if (capture->origin != s) return refuse(capture, CAPTURE_UNMATCHED);
    const bool all = joined(*capture);
    end_capture(capture);
    if (capture->mode != RELAXED && capture->thread != std::this_thread::get_id()) return CAPTURE_WRONG_THREAD;
    if (capture->invalid) return CAPTURE_INVALIDATED;
    if (!all) return CAPTURE_UNJOINED;
    auto* made = new Graph{std::make_shared<const std::vector<Node>>(std::move(capture->nodes))};
    graphs.insert(made);
    *graph = made;
    return SUCCESS;
}

// Flags: 1 frees memory at a launch (graphs hold none here), 2 uploads, 8 keeps priorities; 4, launches by a kernel, no.
int cuGraphInstantiateWithFlags(void** instance, void* graph, unsigned long long flags) {
    Lock l(driver_lock);
    if (int refused = refuse_if_captured()) return refused;
    auto* g = static_cast<Graph*>(graph);
    if (!graphs.count(g) || flags & ~11ull) return INVALID_VALUE;
    auto* made = new Graph{g->nodes};
    instances.insert(made);
    *instance = made;
    return SUCCESS;
}
int cuGraphUpload(void* instance, void* stream) {
    Lock l(driver_lock);
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    if (s->capture) return refuse(s->capture, CAPTURE_UNSUPPORTED);
    return instances.count(static_cast<Graph*>(instance)) ? SUCCESS : INVALID_VALUE;
}
int cuGraphLaunch(void* instance, void* stream) {
    Lock l(driver_lock);
    Stream* s = stream_of(stream);
    if (!s) return INVALID_HANDLE;
    if (s->capture) return refuse(s->capture, CAPTURE_UNSUPPORTED);
    if (int refused = refuse_implicit(s)) return refused;
    calls_made["cuGraphLaunch"]++;
    auto* g = static_cast<Graph*>(instance);
    if (!instances.count(g)) return INVALID_VALUE;
    const auto nothing = [] { return std::string(); };
    const Handle begin = queue_push({"begin of a graph", {}, nothing}, {s->last, g->last});
    std::vector<Handle> queued, front;
    for (const Node& node : *g->nodes) {
        front = {begin};
        for (size_t before : node.front) front.push_back(queued[before]);
        queued.push_back(queue_push(node.work, front));
    }
    queued.push_back(begin);
    s->last = g->last = queue_push({"end of a graph", {}, nothing}, queued);
    return SUCCESS;
}
// What was launched still runs. The work is freed, the handle's address is not used again, so that a late use is told.
int cuGraphExecDestroy(void* instance) {
    Lock l(driver_lock);
    auto* g = static_cast<Graph*>(instance);
    if (!instances.erase(g)) return INVALID_VALUE;
    *g = {};
    return SUCCESS;
}
int cuGraphDestroy(void* graph) {
    Lock l(driver_lock);
    auto* g = static_cast<Graph*>(graph);
    if (!graphs.erase(g)) return INVALID_VALUE;
    *g = {};
    return SUCCESS;
}

}  // extern "C"
