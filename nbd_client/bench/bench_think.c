/*
 * bench_think.c - pauses between the requests of a bench, and the application that ends them
 *
 * A request to a block device is made by a running program: an application submits it, and the
 * kernel wakes the worker by the front end's eventfd. So it is here. The worker says when the next
 * request is due, and the control thread, in the place of the application, submits it then;
 * latency counts from there, and waking the worker is part of it. How late the application itself
 * was woken is not: a timer of a virtual machine was seen 180 us late, which says nothing of us.
 *
 * One writer for each field: the worker's are due_ns and due, the application's asked_ns and asked.
 * The next request may be made when asked has caught up with due.
 */
#include <sys/eventfd.h>
#include "nbd_client/bench/bench_priv.h"

int bench_think_init(struct bench_think *t)
{
	*t = (struct bench_think){.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
	return t->event_fd < 0 ? -1 : 0;
}

void bench_think_until(struct bench_think *t, uint64_t due_ns)
{
	__atomic_store_n(&t->due_ns, due_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&t->due, t->due + 1, __ATOMIC_RELEASE);
}

bool bench_think_is_over(const struct bench_think *t)
{
	return __atomic_load_n(&t->asked, __ATOMIC_ACQUIRE) == t->due;
}

uint64_t bench_think_ask(struct bench_think *t, uint64_t now_ns)
{
	uint64_t due = __atomic_load_n(&t->due, __ATOMIC_ACQUIRE), due_ns;

	if (t->asked == due)
		return UINT64_MAX;
	due_ns = __atomic_load_n(&t->due_ns, __ATOMIC_RELAXED);
	if (now_ns < due_ns)
		return due_ns - now_ns;
	t->asked_ns = now_ns;
	__atomic_store_n(&t->asked, due, __ATOMIC_RELEASE);
	eventfd_write(
		t->event_fd, 1); /* fails only when the counter is full, and then it wakes anyway */
	return UINT64_MAX;
}
