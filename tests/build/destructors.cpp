// Drops where C++ makes them: in the destructors of thread_local and static objects, in unwinding, and by std::thread in numbers; and fork and close in
// such a destructor. Exit 0: each tensor was reclaimed once.
#include <fettle/fettle.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace
{

std::atomic<unsigned long> made{0}, finalized{0};
ftl_runtime *runtime;

void check(bool good, const char *what)
{
    if (good)
        return;
    std::fprintf(stderr, "destructors: %s: %s\n", what, ftl_last_error());
    std::_Exit(1);
}

int counts(ftl_tensor, void *, std::size_t, void *)
{
    finalized++;
    return 0;
}

class Tensor
{
  public:
    explicit Tensor(std::size_t bytes, ftl_runtime *owner = runtime)
    {
        ftl_tensor_options options{};
        options.finalizer = counts;
        check(ftl_bytes_new(owner, bytes, &options, &handle_) == FTL_OK, "new");
        made++;
    }
    Tensor(const Tensor &) = delete;
    Tensor &operator=(const Tensor &) = delete;
    ~Tensor()
    {
        const int status = ftl_tensor_drop(handle_);
        check(status == FTL_OK || status == FTL_ECLOSED || status == FTL_ESTALE, "drop");
        check(!ftl_tensor_alive(handle_), "dropped, and alive");
    }

  private:
    ftl_tensor handle_{};
};

struct Holder {
    Tensor *tensor = nullptr;
    ~Holder()
    {
        delete tensor;
    }
};

// The destructors of thread_local and static objects have run: all were dropped, the last of them by now.
void at_the_end()
{
    check(ftl_runtime_drain(runtime, -1) == FTL_OK, "drain");
    ftl_stats stats;
    check(ftl_runtime_stats(runtime, &stats) == FTL_OK && stats.live == 0 && stats.reclaimed == stats.created, "live");
    check(finalized == made, "each finalizer once");
    check(ftl_runtime_close(runtime, nullptr) == FTL_OK, "close");
    check(finalized == made, "none twice");
    std::printf("%lu tensors, dropped in destructors\n", made.load());
}

struct End {
    ~End()
    {
        at_the_end();
    }
};

End of_all;                    // first, so that it is destroyed last
thread_local Holder of_thread; // dropped when its thread ends, main's too
Holder of_program;             // dropped after main has returned

void work(unsigned number)
{
    of_thread.tensor = new Tensor(number % 2 == 0 ? 100 : 100000);
    try {
        Tensor small(64), large(3 << 20);
        if (number % 3 == 0)
            throw std::runtime_error("unwinds");
    } catch (const std::runtime_error &) {
    }
}

void run_threads()
{
    for (unsigned round = 0; round < 20; round++) {
        std::vector<std::thread> threads;
        for (unsigned i = 0; i < 8; i++)
            threads.emplace_back(work, i);
        for (std::thread &thread : threads)
            thread.join();
    }
}

// A thread that outlives the runtime: its destructor comes too late, and that is harmless.
void outlive()
{
    ftl_runtime *own;
    check(ftl_runtime_open(nullptr, &own) == FTL_OK, "open");
    std::atomic<int> step{0};
    std::thread late([&] {
        of_thread.tensor = new Tensor(500, own);
        step = 1;
        while (step != 2)
            std::this_thread::yield();
    });
    while (step != 1)
        std::this_thread::yield();
    ftl_close_report report;
    check(ftl_runtime_close(own, &report) == FTL_OK && report.leaked == 1, "close over a live one");
    ftl_leak_report_free(report.leaks);
    step = 2;
    late.join();
    made--; // the runtime took it away, without its finalizer
}

// What a thread does last, in a destructor that was there before it touched the library, while others are inside it.
struct Last {
    enum Kind { NOTHING, FORKS, CLOSES };
    Kind what = NOTHING;
    ftl_runtime *own = nullptr;
    ~Last();
};

void fork_here(ftl_runtime *own)
{
    const pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        alarm(30);
        ftl_tensor tensor;
        ftl_runtime *other;
        check(ftl_bytes_new(own, 10, nullptr, &tensor) == FTL_ENOTSUP, "new in the parent's runtime");
        check(ftl_runtime_open(nullptr, &other) == FTL_OK, "open in the child");
        check(ftl_bytes_new(other, 5000, nullptr, &tensor) == FTL_OK && ftl_tensor_drop(tensor) == FTL_OK, "the child's tensor");
        check(ftl_runtime_close(other, nullptr) == FTL_OK, "close in the child");
        std::_Exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child && status == 0, "the child");
}

void close_here(ftl_runtime *own)
{
    ftl_close_report report;
    int status;
    do
        status = ftl_runtime_close(own, &report);
    while (status == FTL_EBUSY); // a call of another thread was stopped in its middle
    check(status == FTL_OK && report.undone == 0, "close");
    ftl_leak_report_free(report.leaks); // what others had in hand
}

Last::~Last()
{
    if (what == FORKS)
        fork_here(own);
    else if (what == CLOSES)
        close_here(own);
}

thread_local Last last;

void end_with(ftl_runtime *own, Last::Kind what)
{
    last.what = what;
    last.own = own;
    ftl_tensor tensor;
    check(ftl_bytes_new(own, 100, nullptr, &tensor) == FTL_OK && ftl_tensor_drop(tensor) == FTL_OK, "before its last");
}

void be_busy(ftl_runtime *own)
{
    ftl_tensor tensor;
    int status;
    while ((status = ftl_bytes_new(own, 5000, nullptr, &tensor)) == FTL_OK)
        (void)ftl_tensor_drop(tensor);
    check(status == FTL_ECLOSED, "new");
}

void fork_and_close_in_destructors()
{
    for (unsigned round = 0; round < 10; round++) {
        ftl_runtime *own;
        check(ftl_runtime_open(nullptr, &own) == FTL_OK, "open");
        std::vector<std::thread> busy;
        for (unsigned i = 0; i < 3; i++)
            busy.emplace_back(be_busy, own);
        std::thread(end_with, own, Last::FORKS).join();
        std::thread(end_with, own, Last::CLOSES).join();
        for (std::thread &thread : busy)
            thread.join();
    }
}

} // namespace

int main()
{
    alarm(60);
    check(ftl_runtime_open(nullptr, &runtime) == FTL_OK, "open");
    run_threads();
    outlive();
    fork_and_close_in_destructors();
    of_program.tensor = new Tensor(4000);
    of_thread.tensor = new Tensor(70000);
    return 0;
}
