// forkheap.node: JavaScript's face of the preload library's session and of gperftools. Translates, and keeps no state:
// worker threads load it too, and all of them share the one session of the process.

#include <dlfcn.h>
#include <gperftools/tcmalloc.h>
#include <napi.h>

#include <string>
#include <vector>

#include "../core/control.h"
#include "../preload/interface.h"

namespace {

// Null in a process that was not started with the preload library.
const forkheap_interface* Preload() {
  static const forkheap_interface* const interface = [] {
    const auto get = reinterpret_cast<decltype(&forkheap_get_interface)>(dlsym(RTLD_DEFAULT, "forkheap_get_interface"));
    return get == nullptr ? nullptr : get();
  }();
  return interface;
}

// { code, message, errno, path }: TypeScript makes the error of it.
Napi::Value ToObject(Napi::Env env, const forkheap_status& status) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("code", status.code == nullptr ? env.Null() : Napi::String::New(env, status.code).As<Napi::Value>());
  result.Set("message", Napi::String::New(env, status.message));
  result.Set("errno", Napi::Number::New(env, status.error_number));
  result.Set("path", Napi::String::New(env, status.path));
  return result;
}

forkheap_status NotPreloaded() {
  forkheap_status status{};
  status.code = "ERR_FORKHEAP_NOT_PRELOADED";
  snprintf(
      status.message, sizeof(status.message),
      "this process was not started with forkheap's preload library, so its allocations cannot be seen. Start it with "
      "`forkheap run`, or with the environment that heapProfileEnv() returns");
  return status;
}

int64_t Number(const Napi::Object& options, const char* name) { return options.Get(name).ToNumber().Int64Value(); }

Napi::Value Start(const Napi::CallbackInfo& info) {
  if (Preload() == nullptr) return ToObject(info.Env(), NotPreloaded());
  const Napi::Object from = info[0].As<Napi::Object>();
  const std::string prefix = from.Get("prefix").As<Napi::String>().Utf8Value();
  const std::string control = from.Get("control").As<Napi::String>().Utf8Value();
  forkheap_options options{};
  options.control = control.c_str();
  options.prefix = prefix.c_str();
  options.sampled = from.Get("sampled").ToBoolean().Value() ? 1 : 0;
  options.sample_interval = Number(from, "sampleInterval");
  options.max_overhead = from.Get("maxOverhead").ToNumber().DoubleValue();
  options.dump_allocated = Number(from, "dumpAllocated");
  options.dump_inuse = Number(from, "dumpInuse");
  options.dump_every_ms = Number(from, "dumpEveryMs");
  options.dump_signal = static_cast<int32_t>(Number(from, "dumpSignal"));
  options.rolling = from.Get("rolling").ToBoolean().Value() ? 1 : 0;
  options.quiet = from.Get("quiet").ToBoolean().Value() ? 1 : 0;
  options.max_dumps = Number(from, "maxDumps");
  options.max_bytes = Number(from, "maxBytes");
  options.max_tree_dumps = Number(from, "maxTreeDumps");
  options.max_tree_bytes = Number(from, "maxTreeBytes");
  forkheap_status status{};
  Preload()->start(&options, &status);
  return ToObject(info.Env(), status);
}

Napi::Value Stop(const Napi::CallbackInfo& info) {
  forkheap_status status = NotPreloaded();
  if (Preload() != nullptr) Preload()->stop(&status);
  return ToObject(info.Env(), status);
}

Napi::Value Dump(const Napi::CallbackInfo& info) {
  forkheap_status status = NotPreloaded();
  if (Preload() != nullptr) Preload()->dump(info[0].As<Napi::String>().Utf8Value().c_str(), &status);
  return ToObject(info.Env(), status);
}

Napi::Value Text(const Napi::CallbackInfo& info) {
  forkheap_status status = NotPreloaded();
  std::string text;
  if (Preload() != nullptr) {
    Preload()->text(
        [](void* data, const char* part, size_t size) { static_cast<std::string*>(data)->assign(part, size); }, &text,
        &status);
  }
  if (status.code != nullptr) return ToObject(info.Env(), status);
  return Napi::String::New(info.Env(), text);
}

Napi::Value SetSampleInterval(const Napi::CallbackInfo& info) {
  forkheap_status status = NotPreloaded();
  if (Preload() != nullptr) Preload()->set_sample_interval(info[0].ToNumber().Int64Value(), &status);
  return ToObject(info.Env(), status);
}

Napi::Value State(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  forkheap_state state{};
  if (Preload() != nullptr) Preload()->state(&state);
  result.Set("preloaded", Napi::Boolean::New(env, Preload() != nullptr));
  result.Set("checking", Napi::Boolean::New(env, state.checking != 0));
  result.Set("running", Napi::Boolean::New(env, state.running != 0));
  result.Set("sampled", Napi::Boolean::New(env, state.sampled != 0));
  result.Set("sampleInterval", Napi::Number::New(env, static_cast<double>(state.sample_interval)));
  result.Set("stacks", Napi::Number::New(env, static_cast<double>(state.stacks)));
  result.Set("truncatedStacks", Napi::Number::New(env, static_cast<double>(state.truncated_stacks)));
  result.Set("base", Napi::String::New(env, state.base));
  result.Set("control", Napi::String::New(env, state.control));
  return result;
}

Napi::Value WatchJavaScript(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Preload() != nullptr && Preload()->watch_javascript() != 0);
}

void FollowChildren(const Napi::CallbackInfo& info) {
  if (Preload() == nullptr) return;
  const Napi::Array from = info[0].As<Napi::Array>();
  std::vector<std::string> entries;
  for (uint32_t i = 0; i < from.Length(); ++i) entries.push_back(from.Get(i).As<Napi::String>().Utf8Value());
  std::vector<const char*> pointers;
  pointers.reserve(entries.size());
  for (const std::string& entry : entries) pointers.push_back(entry.c_str());
  Preload()->follow_children(pointers.data(), pointers.size());
}

// The JavaScript functions and places that stacks hold, as the manifest's "code": JSON.
Napi::Value JavaScriptCode(const Napi::CallbackInfo& info) {
  std::string text = "[]";
  if (Preload() != nullptr) {
    Preload()->javascript_code(
        [](void* data, const char* part, size_t size) { static_cast<std::string*>(data)->assign(part, size); }, &text);
  }
  return Napi::String::New(info.Env(), text);
}

// A thread's turn to check for leaks. Its environment is the owner, and gives the turn back when it ends.
Napi::Value ClaimCheck(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Preload() != nullptr && Preload()->claim_check(napi_env{info.Env()}) != 0);
}

void ReleaseCheck(const Napi::CallbackInfo& info) {
  if (Preload() != nullptr) Preload()->release_check(napi_env{info.Env()});
}

// Asks every process that has the control file at info[0] for a dump; the request's number, or null when there is no
// such file.
Napi::Value AskForDumps(const Napi::CallbackInfo& info) {
  forkheap::Control control;
  if (!control.Open(info[0].As<Napi::String>().Utf8Value().c_str(), false)) return info.Env().Null();
  const Napi::Number request = Napi::Number::New(info.Env(), control.Ask());
  control.Close();
  return request;
}

// The processes of the control file at info[0] that were there at request info[1]: { pid, answered, failed } each.
Napi::Value DumpAnswers(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array result = Napi::Array::New(env);
  forkheap::Control control;
  if (!control.Open(info[0].As<Napi::String>().Utf8Value().c_str(), false)) return result;
  const uint32_t request = info[1].ToNumber().Uint32Value();
  // Numbers wrap.
  const auto reached = [&](uint32_t number) { return static_cast<int32_t>(number - request) >= 0; };
  control.ForEach([&](const forkheap::Control::Slot& slot) {
    if (reached(slot.joined.load())) return;
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("pid", Napi::Number::New(env, slot.pid.load()));
    entry.Set("answered", Napi::Boolean::New(env, reached(slot.answered.load())));
    entry.Set("failed", Napi::Boolean::New(env, slot.failed.load() != 0));
    result.Set(result.Length(), entry);
  });
  control.Close();
  return result;
}

Napi::Value RequireChecker(const Napi::CallbackInfo& info) {
  forkheap_status status = NotPreloaded();
  if (Preload() != nullptr) Preload()->require_checker(&status);
  return ToObject(info.Env(), status);
}

// A checker, as an external that is good for the two functions below; null is no checker: the whole program's.
Napi::Value CreateChecker(const Napi::CallbackInfo& info) {
  forkheap_status status = NotPreloaded();
  void* checker = nullptr;
  if (Preload() != nullptr) {
    checker = Preload()->create_checker(info[0].As<Napi::String>().Utf8Value().c_str(), &status);
  }
  if (checker == nullptr) return ToObject(info.Env(), status);
  return Napi::External<void>::New(info.Env(), checker);
}

void* CheckerArgument(const Napi::Value& value) {
  return value.IsExternal() ? value.As<Napi::External<void>>().Data() : nullptr;
}

Napi::Value CheckLeaks(const Napi::CallbackInfo& info) {
  forkheap_status status = NotPreloaded();
  forkheap_leaks leaks{};
  std::string text;
  leaks.take = [](void* data, const char* part, size_t size) { static_cast<std::string*>(data)->assign(part, size); };
  leaks.data = &text;
  const std::string name = info[1].As<Napi::String>().Utf8Value();
  if (Preload() != nullptr) Preload()->check_leaks(CheckerArgument(info[0]), name.c_str(), &leaks, &status);
  Napi::Object result = ToObject(info.Env(), status).As<Napi::Object>();
  result.Set("bytes", Napi::Number::New(info.Env(), static_cast<double>(leaks.bytes)));
  result.Set("objects", Napi::Number::New(info.Env(), static_cast<double>(leaks.objects)));
  result.Set("text", Napi::String::New(info.Env(), text));
  return result;
}

void DestroyChecker(const Napi::CallbackInfo& info) {
  void* checker = CheckerArgument(info[0]);
  if (Preload() != nullptr && checker != nullptr) Preload()->destroy_checker(checker);
}

void ProgramEnds(const Napi::CallbackInfo& info) {
  const int32_t exit_code = info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : 0;
  if (Preload() != nullptr) Preload()->program_ends(exit_code);
}

Napi::Value FinishChecks(const Napi::CallbackInfo& info) {
  forkheap_status status = NotPreloaded();
  if (Preload() != nullptr) Preload()->finish_checks(&status);
  return ToObject(info.Env(), status);
}

void CancelLastCheck(const Napi::CallbackInfo& /*info*/) {
  if (Preload() != nullptr) Preload()->cancel_last_check();
}

void DisableChecks(const Napi::CallbackInfo& info) {
  if (Preload() != nullptr) Preload()->disable_checks(info[0].ToBoolean().Value() ? 1 : 0);
}

// An address, or an external that an addon has made of one; null when it is neither.
const void* PointerArgument(const Napi::Value& value) {
  if (value.IsExternal()) return value.As<Napi::External<void>>().Data();
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an addon gave it to JavaScript as a number
  if (value.IsNumber()) return reinterpret_cast<const void*>(value.As<Napi::Number>().Int64Value());
  if (!value.IsBigInt()) return nullptr;
  bool lossless = false;
  const uint64_t address = value.As<Napi::BigInt>().Uint64Value(&lossless);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an addon gave it to JavaScript as a number
  return lossless ? reinterpret_cast<const void*>(address) : nullptr;
}

Napi::Value IgnoreObject(const Napi::CallbackInfo& info) {
  forkheap_status status = NotPreloaded();
  if (Preload() != nullptr) {
    Preload()->ignore_object(PointerArgument(info[0]), info[1].ToBoolean().Value() ? 1 : 0, &status);
  }
  return ToObject(info.Env(), status);
}

Napi::Value TcmallocVersion(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), tc_version(nullptr, nullptr, nullptr));
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  if (Preload() != nullptr) {
    const napi_node_version* version = Napi::VersionManagement::GetNodeVersion(env);
    char text[32];
    snprintf(text, sizeof(text), "%u.%u.%u", version->major, version->minor, version->patch);
    Preload()->set_node_version(text);
    env.AddCleanupHook([](napi_env owner) { Preload()->release_check(owner); }, napi_env{env});
  }
  exports.Set("start", Napi::Function::New<Start>(env, "start"));
  exports.Set("stop", Napi::Function::New<Stop>(env, "stop"));
  exports.Set("dump", Napi::Function::New<Dump>(env, "dump"));
  exports.Set("text", Napi::Function::New<Text>(env, "text"));
  exports.Set("setSampleInterval", Napi::Function::New<SetSampleInterval>(env, "setSampleInterval"));
  exports.Set("state", Napi::Function::New<State>(env, "state"));
  exports.Set("watchJavaScript", Napi::Function::New<WatchJavaScript>(env, "watchJavaScript"));
  exports.Set("followChildren", Napi::Function::New<FollowChildren>(env, "followChildren"));
  exports.Set("javaScriptCode", Napi::Function::New<JavaScriptCode>(env, "javaScriptCode"));
  exports.Set("claimCheck", Napi::Function::New<ClaimCheck>(env, "claimCheck"));
  exports.Set("releaseCheck", Napi::Function::New<ReleaseCheck>(env, "releaseCheck"));
  exports.Set("askForDumps", Napi::Function::New<AskForDumps>(env, "askForDumps"));
  exports.Set("dumpAnswers", Napi::Function::New<DumpAnswers>(env, "dumpAnswers"));
  exports.Set("requireChecker", Napi::Function::New<RequireChecker>(env, "requireChecker"));
  exports.Set("createChecker", Napi::Function::New<CreateChecker>(env, "createChecker"));
  exports.Set("checkLeaks", Napi::Function::New<CheckLeaks>(env, "checkLeaks"));
  exports.Set("destroyChecker", Napi::Function::New<DestroyChecker>(env, "destroyChecker"));
  exports.Set("programEnds", Napi::Function::New<ProgramEnds>(env, "programEnds"));
  exports.Set("finishChecks", Napi::Function::New<FinishChecks>(env, "finishChecks"));
  exports.Set("cancelLastCheck", Napi::Function::New<CancelLastCheck>(env, "cancelLastCheck"));
  exports.Set("disableChecks", Napi::Function::New<DisableChecks>(env, "disableChecks"));
  exports.Set("ignoreObject", Napi::Function::New<IgnoreObject>(env, "ignoreObject"));
  exports.Set("tcmallocVersion", Napi::Function::New<TcmallocVersion>(env, "tcmallocVersion"));
  return exports;
}

}  // namespace

NODE_API_MODULE(forkheap, Init)
