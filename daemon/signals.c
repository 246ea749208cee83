/*
 * signals.c - the signals a daemon is ended by, and those it survives
 *
 * Requests of mounted file systems and of swap wait for this process, so no signal ends or stops it
 * by an accident of its default action: an unknown `kill -USR1`, a timer, Ctrl-Z. All of them are
 * blocked in every thread and read from a signalfd. SIGTERM and SIGINT end the daemon in order,
 * SIGHUP reads the configuration again; the others are logged and ignored.
 *
 * Left alone are the signals of a fault of ours (SIGSEGV, SIGABRT, …) and SIGQUIT, which end it
 * with a core dump, those that no process can block (SIGKILL, SIGSTOP), and those that do nothing
 * by default. SIGPIPE is ignored in main.c. All of it is in sluiced(8), SIGNALS.
 */
#include "daemon/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "config/log.h"

#define READ_MAX 64 /* signals taken at once: each standard one is pending once at most */

static const int left_alone[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGQUIT,
	SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGPIPE};

int signals_open(void)
{
	sigset_t set;
	int fd;

	sigfillset(&set);
	for (unsigned i = 0; i < sizeof(left_alone) / sizeof(*left_alone); i++)
		sigdelset(&set, left_alone[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void ignore(const struct signalfd_siginfo *info)
{
	const char *name = sigabbrev_np((int)info->ssi_signo);
	char number[32];

	snprintf(number, sizeof(number), "%u", info->ssi_signo);
	log_info("ignoring signal %s%s of process %u: SIGTERM ends the daemon", name ? "SIG" : "",
		name ? name : number, info->ssi_pid);
}

unsigned signals_read(int fd, bool *is_reload)
{
	struct signalfd_siginfo info;
	unsigned ends = 0, n = 0;

	*is_reload = false;
	while (n++ < READ_MAX && read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			ends++;
		else if (info.ssi_signo == SIGHUP)
			*is_reload = true;
		else
			ignore(&info);
	}
	return ends;
}
