#include "javascript.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "code_map.h"
#include "engine_flags.h"
#include "pending_tables.h"

namespace forkheap {

namespace {

// v8::JitCodeEvent
struct JitCodeEvent {
  enum Type : int { kAdded = 0, kMoved = 1, kRemoved = 2, kAddLine = 3, kStartLines = 4, kEndLines = 5 };
  enum CodeType : int { kByteCode = 0 };
  Type type;
  CodeType code_type;
  void* code_start;
  size_t code_length;
  void* script;
  void* user_data;
  void* wasm_source_info;
  union {
    struct {
      const char* text;
      size_t length;
    } name;
    struct {
      size_t offset;
      size_t position;
      int type;  // 0: of an expression; those of statements come again as these
    } line;
    void* new_code_start;
  };
};

template <typename Function>
Function Find(const char* symbol) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, symbol));
}

template <typename Number>
bool FindConstant(const char* symbol, Number* value) {
  const auto* found = Find<const int*>(symbol);
  if (found == nullptr) return false;
  *value = static_cast<Number>(*found);
  return true;
}

// V8's functions that tell where something is in a script.
struct ScriptInterface {
  int (*line)(void* script, int position) = nullptr;
  int (*column)(void* script, int position) = nullptr;
  int (*id)(const void* script) = nullptr;
  // Not in V8 14: there the handles that these functions make live until the engine's own scope ends.
  void (*open_scope)(void* scope, void* isolate) = nullptr;
  void (*close_scope)(void* scope) = nullptr;

  void Init() {
    line = Find<decltype(line)>("_ZN2v813UnboundScript13GetLineNumberEi");
    column = Find<decltype(column)>("_ZN2v813UnboundScript15GetColumnNumberEi");
    id = Find<decltype(id)>("_ZNK2v813UnboundScript5GetIdEv");
    open_scope = Find<decltype(open_scope)>("_ZN2v811HandleScopeC1EPNS_7IsolateE");
    close_scope = Find<decltype(close_scope)>("_ZN2v811HandleScopeD1Ev");
  }
  [[nodiscard]] bool known() const { return line != nullptr && column != nullptr && id != nullptr; }
};

ScriptInterface g_scripts;
void* (*g_current_isolate)() = nullptr;
std::atomic<uint32_t> g_engines{0};

// The engine of this thread.
struct Engine {
  uint32_t number;
  PendingTables pending;
  // The entry of the interpreted function that was told of last: its bytecode comes next.
  CodeMap::Code interpreted;
};
__thread Engine t_engine __attribute__((tls_model("initial-exec"))) = {};

// Its destructor gives back what the engine of a thread that ends has used.
pthread_key_t g_thread_ends;
bool g_thread_ends_known = false;

// A name's parts: "JS:~f /app/a.js:3:5" is f in interpreted code.
struct CodeName {
  std::string_view kind;
  char tier = '\0';  // ~ interpreted, ^ baseline, + maglev, * turbofan
  std::string_view rest;
};

CodeName ParseName(std::string_view name) {
  const size_t colon = name.find(':');
  if (colon == std::string_view::npos || colon + 1 >= name.size()) return {"", '\0', name};
  CodeName parts{name.substr(0, colon + 1), '\0', name.substr(colon + 1)};
  // "o": entered in the middle of a loop; "'": for one context.
  size_t at = parts.rest[0] == 'o' && parts.rest.size() > 1 && strchr("+*", parts.rest[1]) != nullptr ? 1 : 0;
  if (strchr("~^+*", parts.rest[at]) == nullptr) return parts;
  parts.tier = parts.rest[at++];
  if ((parts.tier == '+' || parts.tier == '*') && at < parts.rest.size() && parts.rest[at] == '\'') ++at;
  parts.rest.remove_prefix(at);
  return parts;
}

// Where a function begins, from the end of its name; at line 0 where that has none.
CodeSites::Position BeginningOf(std::string_view rest) {
  uint32_t numbers[2] = {0, 0};
  for (uint32_t& number : numbers) {
    uint32_t scale = 1;
    while (!rest.empty() && rest.back() >= '0' && rest.back() <= '9' && scale < 1'000'000'000) {
      number += static_cast<uint32_t>(rest.back() - '0') * scale;
      scale *= 10;
      rest.remove_suffix(1);
    }
    if (rest.empty() || rest.back() != ':') return {0, 0, 0};
    rest.remove_suffix(1);
  }
  return {0, numbers[1], numbers[0]};
}

// Lines and columns for positions, after the `located` that are there. Returns how many there are now, 0 for too many.
uint32_t Locate(void* script, const PendingTables::Entry* entries, uint32_t count, CodeSites::Position* positions,
                uint32_t located) {
  // A v8::HandleScope has three words.
  alignas(16) char scope[64];
  const bool scoped = g_scripts.open_scope != nullptr && g_scripts.close_scope != nullptr;
  if (scoped) g_scripts.open_scope(scope, g_current_isolate());
  for (uint32_t i = 0; i < count; ++i) {
    const auto [code_offset, position] = entries[i];
    if (i > 0 && entries[i - 1].position == position) continue;
    if (located == PendingTables::kMostPositions) {
      located = 0;
      break;
    }
    CodeSites::Position at{code_offset, 0, 0};
    if (position != PendingTables::kNone) {
      const int line = g_scripts.line(script, static_cast<int>(position));
      const int column = g_scripts.column(script, static_cast<int>(position));
      if (line >= 0 && column >= 0) {
        at.line = static_cast<uint32_t>(line) + 1;
        at.column = static_cast<uint32_t>(column) + 1;
      }
    }
    positions[located++] = at;
  }
  if (scoped) g_scripts.close_scope(scope);
  return located;
}

void OnCode(const JitCodeEvent& event) {
  const auto start = reinterpret_cast<uintptr_t>(event.code_start);
  const bool bytecode = event.code_type == JitCodeEvent::kByteCode;
  uint32_t count = 0;
  const PendingTables::Entry* entries = t_engine.pending.Take(start, &count);
  const CodeName name = ParseName({event.name.text, event.name.length});
  CodeMap::Code code = t_engine.interpreted;
  if (bytecode) {
    // It is not executed by the processor: with --interpreted-frames-native-stack each interpreted function has an
    // entry of its own, which has come as code.
    t_engine.interpreted = {};
    if (code.size == 0 || !g_code_map.IsCalled(code.id, name.kind, name.rest)) return;
  } else {
    if (g_code_map.IsBuiltin(start)) return;
    code = g_code_map.Add(start, event.code_length, name.kind, name.rest);
    t_engine.interpreted = name.tier == '~' ? code : CodeMap::Code{};
  }
  if (entries == nullptr || event.script == nullptr || !g_scripts.known() || !g_code_map.WantsSites(code.id)) return;
  if (!bytecode && name.tier != '*') return;
  CodeSites::Position* positions = t_engine.pending.positions();
  uint32_t located = 0;
  // Optimized code has the place where a function begins too, and bytecode does not.
  if (bytecode) positions[located++] = BeginningOf(name.rest);
  located = Locate(event.script, entries, count, positions, located);
  if (located == 0) return;
  const CodeSites::Script script{t_engine.number, static_cast<uint32_t>(g_scripts.id(event.script))};
  g_code_map.AddSites(code, bytecode ? 0 : start, script, positions, located);
}

void OnCodeEvent(JitCodeEvent* event) {
  const auto start = reinterpret_cast<uintptr_t>(event->code_start);
  switch (event->type) {
    case JitCodeEvent::kAdded:
      OnCode(*event);
      break;
    case JitCodeEvent::kMoved:
      if (event->code_type != JitCodeEvent::kByteCode) {
        g_code_map.Move(start, reinterpret_cast<uintptr_t>(event->new_code_start), event->code_length);
      }
      break;
    case JitCodeEvent::kStartLines:
      t_engine.pending.Begin();
      break;
    case JitCodeEvent::kAddLine:
      if (event->line.type == 0) t_engine.pending.Add(event->line.offset, event->line.position);
      break;
    case JitCodeEvent::kEndLines:
      t_engine.pending.End(start);
      break;
    case JitCodeEvent::kRemoved:
      break;
  }
}

// Makes the engine tell lines for all code that it will compile, and keep to the tiers that tell them where that is
// wanted.
void AskForLines(Tiers tiers) {
  int in_frame = 0;
  uint32_t header = 0;
  const bool known = g_scripts.known() && FindConstant("v8dbg_off_fp_bytecode_offset", &in_frame) &&
                     in_frame == kBytecodeOffsetInFrame &&
                     FindConstant("v8dbg_class_BytecodeArray__data__uintptr_t", &header);
  if (!known) {
    g_scripts = {};
    return;
  }
  g_code_map.sites().SetBytecodeHeader(header - 1);  // what points to an object points one byte into it
  g_engine_flags.Set("--no-enable-lazy-source-positions", "--enable-lazy-source-positions");
  if (tiers == Tiers::kAll) return;
  g_engine_flags.Set("--no-sparkplug", "--sparkplug");
  g_engine_flags.Set("--no-maglev", "--maglev");
  // A position does not say which script it is of: hot code of several files would stand on its outermost function.
  g_engine_flags.Set("--no-turbo-inlining", "--turbo-inlining");
  // Code from a cache tells no lines: the program's own is to be compiled.
  if (getenv("NODE_COMPILE_CACHE") != nullptr) g_engine_flags.Show();  // NOLINT(concurrency-mt-unsafe): read only
}

}  // namespace

bool WatchJavaScript(Tiers tiers) {
  g_current_isolate = Find<void* (*)()>("_ZN2v87Isolate10GetCurrentEv");
  const auto set_handler = Find<void (*)(void*, int, void (*)(JitCodeEvent*))>(
      "_ZN2v87Isolate22SetJitCodeEventHandlerENS_19JitCodeEventOptionsEPFvPKNS_12JitCodeEventEE");
  const auto builtins = Find<void (*)(void*, const void**, size_t*)>("_ZN2v87Isolate20GetEmbeddedCodeRangeEPPKvPm");
  const auto code_range = Find<void (*)(void*, void**, size_t*)>("_ZN2v87Isolate12GetCodeRangeEPPvPm");
  if (g_current_isolate == nullptr || set_handler == nullptr) return false;
  void* isolate = g_current_isolate();
  if (isolate == nullptr) return false;
  if (code_range != nullptr) {
    void* start = nullptr;
    size_t size = 0;
    code_range(isolate, &start, &size);
    g_code_map.AddCodeRange(reinterpret_cast<uintptr_t>(start), size);
  }
  if (builtins != nullptr) {
    const void* start = nullptr;
    size_t size = 0;
    builtins(isolate, &start, &size);
    g_code_map.SetBuiltins(reinterpret_cast<uintptr_t>(start), size);
  }
  t_engine.number = g_engines.fetch_add(1);
  if (t_engine.number == 0) {
    g_scripts.Init();
    AskForLines(tiers);
    g_thread_ends_known = pthread_key_create(&g_thread_ends, [](void*) { t_engine.pending.Release(); }) == 0;
  }
  if (g_thread_ends_known) pthread_setspecific(g_thread_ends, &t_engine);
  // Not the code that is there already: it is Node's own, since we come before the program, and listing it takes longer
  // than all of Node's start.
  constexpr int kFromNowOn = 0;
  set_handler(isolate, kFromNowOn, OnCodeEvent);
  return true;
}

}  // namespace forkheap
