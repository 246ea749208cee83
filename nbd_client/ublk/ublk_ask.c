/*
 * ublk_ask.c - asks in a separate process whether a device is in use, because the question may
 * never return
 *
 * The kernel's own word is a claim: open() with O_EXCL fails with EBUSY while a mount, swap, md,
 * btrfs or an external journal holds the device, whether or not it is listed anywhere. But an open
 * waits behind other opens of the device, and that may be a partition scan whose read waits for a
 * server that is dead. A thread that waits there could not be killed, and would keep the dead
 * daemon's /dev/ublkcN open: the next daemon could not take the device over, and so the read would
 * never be answered. Hence a process: the *helper*, forked before DPDK, of no memory to speak of,
 * which forks once more for each question. What the question waits for is then its own.
 *
 * The control thread sends the helper the device's number and one end of a socket pair. The answer
 * comes on the pair; closing our end lets go of the claim. A question not answered in time is the
 * caller's to decide: the device stays.
 *
 * The helper holds no descriptor of the daemon's (the lock of the run directory, above all) and no
 * mount but what it needs, and ignores the signals that end the daemon: it ends when the daemon's
 * end of its socket is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "config/host/host.h"
#include "nbd_client/ublk/ublk_priv.h"

#define HELPER_FD 3 /* in the helper: all it has beside /dev/null */
#define ASK_FD	  4

struct question {
	int dev_id;
	bool is_claim;
};

static int helper_fd = -1;

/* ---- in the process of one question ---- */

/* Opens the node at @path if it is device @number. Out: the descriptor or -errno. */
static int node_claim(const char *path, dev_t number)
{
	struct stat st;
	int fd;

	if (stat(path, &st) != 0)
		return -errno;
	if (!S_ISBLK(st.st_mode) || st.st_rdev != number)
		return -ENOTBLK;
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == number)
		return fd;
	close(fd);
	return -ENOTBLK;
}

static int device_claim(int dev_id)
{
	unsigned major = 0, minor = 0;
	char path[64];
	FILE *file;
	int rc;

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/dev", dev_id);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	rc = fscanf(file, "%u:%u", &major, &minor);
	fclose(file);
	if (rc != 2)
		return -EPROTO;
	snprintf(path, sizeof(path), "/dev/ublkb%d", dev_id);
	rc = node_claim(path, makedev(major, minor));
	if (rc != -ENOTBLK && rc != -ENOENT)
		return rc;
	snprintf(path, sizeof(path), "/dev/block/%u:%u", major, minor);
	return node_claim(path, makedev(major, minor));
}

static void answer_find(const struct question *q, struct ublk_user *out)
{
	int fd = q->is_claim ? device_claim(q->dev_id) : 0;

	if (fd == -EBUSY) {
		/* Say who, if it can be seen. */
		ublk_user_find_at("/sys", "/proc", q->dev_id, true, out);
		if (out->kind == UBLK_USER_NONE)
			*out = (struct ublk_user){.kind = UBLK_USER_HOLDER,
				.text = "claimed in the kernel: a mount (umount -l), a journal or "
					"a device of a file system"};
	} else if (fd < 0) {
		*out = (struct ublk_user){.kind = UBLK_USER_UNKNOWN};
		snprintf(out->text, sizeof(out->text), "/dev/ublkb%d cannot be opened: %s",
			q->dev_id, strerror(-fd));
	} else {
		ublk_user_find_at("/sys", "/proc", q->dev_id, true, out);
	}
}

__attribute__((noreturn)) static void question_run(const struct question *q)
{
	struct ublk_user user = {.kind = UBLK_USER_NONE};
	char end;

	close(HELPER_FD);
	answer_find(q, &user);
	if (send(ASK_FD, &user, sizeof(user), MSG_NOSIGNAL) == sizeof(user))
		while (recv(ASK_FD, &end, 1, 0) < 0 && errno == EINTR)
			;
	_exit(0);
}

/* ---- in the helper ---- */

/* Out: 1 with @q and ASK_FD open, 0 the daemon is gone, -1 not a question. */
static int question_take(struct question *q)
{
	char room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec part = {.iov_base = q, .iov_len = sizeof(*q)};
	struct msghdr msg = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room)};
	ssize_t got = recvmsg(HELPER_FD, &msg, 0); /* the lowest free descriptor: ASK_FD */
	const struct cmsghdr *with = got > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (got == 0)
		return 0;
	if (got != sizeof(*q) || !with || with->cmsg_type != SCM_RIGHTS)
		return -1;
	return 1;
}

__attribute__((noreturn)) static void helper_run(int fd)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD, SIGPIPE};
	int null = open("/dev/null", O_RDWR), taken = 1;
	struct question q;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	for (int i = 0; i < 3; i++)
		if (null >= 0)
			dup2(null, i);
	if (dup2(fd, HELPER_FD) < 0 || close_range(HELPER_FD + 1, ~0u, 0) != 0)
		_exit(1);
	prctl(PR_SET_NAME, "sluiced-ask");
	/* Else it keeps what is mounted now in use. Without the right to, it does. */
	(void)host_mounts_leave(NULL, 0);
	while (taken) {
		taken = question_take(&q);
		if (taken > 0 && fork() == 0)
			question_run(&q);
		close(ASK_FD); /* after a fork that failed the asker reads its end */
	}
	_exit(0);
}

int ublk_helper_start(struct error *err)
{
	int pair[2];
	pid_t pid;

	assert(helper_fd < 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return error_set(err, -errno, "socketpair: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		helper_run(pair[1]);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return error_set(err, -EAGAIN, "fork: %s", strerror(errno));
	}
	helper_fd = pair[0];
	return 0;
}

/* ---- in the daemon ---- */

int ublk_ask_begin(struct ublk_ask *a, const struct ublk *u)
{
	struct question q = {.dev_id = ublk_dev_id(u), .is_claim = !u->has_try_stop};
	char room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = "";
	struct iovec part = {.iov_base = &q, .iov_len = sizeof(q)};
	struct msghdr msg = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room)};
	struct cmsghdr *with = CMSG_FIRSTHDR(&msg);
	int pair[2], rc = 0;

	a->fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	with->cmsg_level = SOL_SOCKET;
	with->cmsg_type = SCM_RIGHTS;
	with->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(with), &pair[1], sizeof(int));
	if (sendmsg(helper_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(q))
		rc = -errno;
	close(pair[1]);
	if (rc < 0)
		close(pair[0]);
	else
		a->fd = pair[0];
	return rc;
}

int ublk_ask_poll(struct ublk_ask *a, struct ublk_user *out)
{
	ssize_t got = recv(a->fd, out, sizeof(*out), MSG_DONTWAIT);

	if (got == sizeof(*out))
		return 0;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	*out = (struct ublk_user){
		.kind = UBLK_USER_UNKNOWN, .text = "the process that looks ended without a word"};
	return 0;
}

void ublk_ask_end(struct ublk_ask *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}
