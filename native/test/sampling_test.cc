// Sampled profiles: what a sample stands for, and which interval and profile it belongs to.
#include "../core/sampling.h"

#include <string>
#include <thread>

#include "../core/samples.h"
#include "../core/thread_state.h"
#include "harness.h"

using forkheap::g_sampling;
using forkheap::TextBuffer;

namespace {

std::string Sampled(const std::string& lines, uint16_t profile = 3, int64_t interval = 1000) {
  TextBuffer out;
  forkheap::FormatSampledProfile(
      "heap profile:      9:      900 [     9:      900] @ heap_v2/524288\n" + lines +
          "\nMAPPED_LIBRARIES:\nold maps\n",
      profile, interval, [](size_t size) { return size + 50; }, &out);
  const std::string text(out.view());
  return text.substr(0, text.find("\nMAPPED_LIBRARIES:\n"));
}

}  // namespace

TEST("samples: each stands for what its own interval says, by the size that tcmalloc charges") {
  // 1 / (1 - e^(-150/1000)) = 7.179; / (1 - e^(-150/100)) = 1.2872.
  EXPECT(Sampled("     1:      100 [     1:      100] @ 0x1 0x2 0x7ec10003000003e8\n") ==
         "heap profile:      7:      718 [     7:      718] @ heapprofile/1000\n"
         "     7:      718 [     7:      718] @ 0x1 0x2\n");
  // Added up by stack before anything is rounded; other profiles' samples, those of none, and other lines fall away.
  EXPECT(Sampled("     1:      100 [     1:      100] @ 0x1 0x2 0x7ec10003000003e8\n"
                 "     1:      100 [     1:      100] @ 0x1 0x2 0x7ec1000300000064\n"
                 "     1:      100 [     1:      100] @ 0x1 0x2 0x7ec1000200000064\n"
                 "     1:      100 [     1:      100] @ 0x1 0x2 0x7ec1000000000000\n"
                 "     1:      100 [     1:      100] @ 0x1 0x2\n"
                 "     1:      100 [     1:      100] @\n") ==
         "heap profile:      8:      847 [     8:      847] @ heapprofile/1000\n"
         "     8:      847 [     8:      847] @ 0x1 0x2\n");
  // What is rounded off one stack goes to the next: 10 of 1.2872 are 12.87.
  std::string many;
  for (int i = 1; i <= 10; ++i) {
    many += "     1:      100 [     1:      100] @ 0x" + std::to_string(i) + " 0x7ec1000300000064\n";
  }
  EXPECT(Sampled(many).find("heap profile:     13:     1287 [") == 0);
  EXPECT(Sampled("") == "heap profile:      0:        0 [     0:        0] @ heapprofile/1000\n");
  // A stack without frames is a stack too.
  EXPECT(Sampled("     1:        0 [     1:        0] @ 0x7ec1000300000001\n").find("1:        0] @\n") !=
         std::string::npos);
}

TEST("sampling: a mark says at which interval the sample was drawn") {
  const auto mark = [] {
    forkheap::SampleMark read{};
    EXPECT(forkheap::Sampling::Read(reinterpret_cast<uint64_t>(g_sampling.Mark()), &read));
    return read;
  };
  g_sampling.SetProfile(7);
  g_sampling.SetInterval(4096);
  EXPECT(!g_sampling.ReachedHere());
  mark();  // this thread is older than the sampling, or began in the same tick of the clock
  EXPECT(g_sampling.ReachedHere());
  EXPECT(mark().profile == 7 && mark().interval == 4096);
  g_sampling.SetInterval(8192);
  EXPECT(!g_sampling.ReachedHere());
  EXPECT(mark().interval == 4096);  // its distance was drawn before
  EXPECT(mark().interval == 8192);
  // Off in between: nobody knows what the distance to the first sample was.
  g_sampling.SetInterval(0);
  g_sampling.SetInterval(8192);
  g_sampling.SetProfile(8);
  EXPECT(mark().profile == 0);
  EXPECT(mark().profile == 8 && mark().interval == 8192);
  // What forkheap allocates itself is nobody's.
  forkheap::t_state.depth = 1;
  EXPECT(mark().profile == 0);
  forkheap::t_state.depth = 0;
  // A thread that begins while it is on has drawn its first distance then.
  std::thread([&] { EXPECT(mark().interval == 8192); }).join();
  forkheap::SampleMark none{};
  EXPECT(!forkheap::Sampling::Read(0x7ec0000000000018, &none));
}

TEST("sampling: the start of a process in /proc's text") {
  EXPECT(forkheap::StartTick("1 (a) b) c) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23") == 4711);
  EXPECT(forkheap::StartTick("1 (a) R 2 3") == -1);
  EXPECT(forkheap::StartTick("") == -1);
}
