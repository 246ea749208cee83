/*
 * resolver.c - host names to addresses, off the control thread
 *
 * getaddrinfo() waits for a name server, for minutes if it is configured so, and cannot be
 * cancelled. So up to RESOLVER_THREAD_MAX threads call it, and the control thread looks for
 * answers when the event descriptor says so. It has its own deadline for each question; a question
 * given up is forgotten, and the thread that still waits for its answer throws that away when it
 * comes. Threads that hang keep a place each; further questions wait in the bounded table for a
 * thread, and their askers' deadlines go on.
 *
 * The last good addresses of each name are remembered, for a name server is often lost together
 * with what it names: a volume that reconnects must not depend on it.
 *
 * The table, its lock and its conditions are shared; the last user frees them: the resolver, or a
 * thread that was still in the C library when the resolver was destroyed. What is remembered is the
 * control thread's alone.
 *
 * Always: a job is FREE, QUEUED, RUNNING or ANSWERED; a RUNNING one is its thread's to finish,
 * ABANDONED means that its result is not needed.
 */
#include "daemon/engine/resolver.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "config/host/host.h"

#define HOST_BYTES 256
/* For look-ups that run at the end: a name server that answers does so by then. */
#define END_MS_MAX 200

enum job_state { JOB_FREE, JOB_QUEUED, JOB_RUNNING, JOB_ABANDONED, JOB_ANSWERED };

struct job {
	enum job_state state;
	uint64_t ticket;
	int rc;
	char host[HOST_BYTES];
	struct resolver_ips ips;
	struct error error;
};

/* What the threads share. */
struct pool {
	pthread_mutex_t lock;
	pthread_cond_t has_work, is_idle;
	struct job jobs[RESOLVER_JOB_MAX];
	unsigned thread_count, busy_count,
		users; /* threads, of these in a look-up; they and the resolver */
	bool is_ending;
	int fd;
	resolver_lookup_fn *lookup;
};

struct known {
	char host[HOST_BYTES]; /* empty: none */
	struct resolver_ips ips;
	uint64_t ticket; /* of the answer: the oldest makes room */
};

struct resolver {
	struct pool *pool;
	uint64_t ticket;
	struct known known[RESOLVER_KNOWN_MAX];
};

/* ---- asking the C library ---- */

static void ip_set(struct net_ip *ip, const struct sockaddr *sa)
{
	memset(ip, 0, sizeof(*ip));
	ip->family = (uint8_t)sa->sa_family;
	if (sa->sa_family == AF_INET)
		memcpy(ip->addr, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	else
		memcpy(ip->addr, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
}

int resolver_numeric(const char *host, struct net_ip *ip)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST},
			*list = NULL;

	if (getaddrinfo(host, NULL, &hints, &list))
		return -EINVAL;
	ip_set(ip, list->ai_addr);
	freeaddrinfo(list);
	return 0;
}

int resolver_lookup(const char *host, struct resolver_ips *ips, struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	int rc = getaddrinfo(host, NULL, &hints, &list);

	if (rc)
		return error_set(err, -EHOSTUNREACH, "%s", gai_strerror(rc));
	for (const struct addrinfo *a = list; a && ips->count < RESOLVER_IP_MAX; a = a->ai_next)
		if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
			ip_set(&ips->ip[ips->count++], a->ai_addr);
	freeaddrinfo(list);
	return ips->count ? 0 : error_set(err, -EHOSTUNREACH, "the name has no address");
}

/* ---- a thread ---- */

/* The lock is held. */
static struct job *job_next(struct pool *p)
{
	struct job *first = NULL;

	for (unsigned i = 0; i < RESOLVER_JOB_MAX; i++) {
		struct job *j = &p->jobs[i];

		if (j->state == JOB_QUEUED && (!first || j->ticket < first->ticket))
			first = j;
	}
	return first;
}

/* The lock is held, and given up while the name server is asked. */
static void job_run(struct pool *p, struct job *j)
{
	struct resolver_ips ips = {0};
	struct error err = {""};
	char host[HOST_BYTES];
	uint64_t one = 1;
	int rc;

	j->state = JOB_RUNNING;
	p->busy_count++;
	memcpy(host, j->host, sizeof(host));
	pthread_mutex_unlock(&p->lock);
	rc = p->lookup(host, &ips, &err);
	pthread_mutex_lock(&p->lock);
	p->busy_count--;
	if (j->state == JOB_ABANDONED) {
		j->state = JOB_FREE;
		return;
	}
	j->rc = rc;
	j->ips = ips;
	j->error = err;
	j->state = JOB_ANSWERED;
	if (!p->is_ending && write(p->fd, &one, sizeof(one)) < 0)
		return; /* the counter is full, so the descriptor is readable */
}

/* The lock is held, and released. The last one frees. */
static void pool_leave(struct pool *p)
{
	bool is_last = --p->users == 0;

	pthread_cond_signal(&p->is_idle);
	pthread_mutex_unlock(&p->lock);
	if (!is_last)
		return;
	pthread_cond_destroy(&p->has_work);
	pthread_cond_destroy(&p->is_idle);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void *thread_main(void *arg)
{
	struct pool *p = arg;
	struct job *j;

	host_thread_protect();
	pthread_mutex_lock(&p->lock);
	while (!p->is_ending) {
		j = job_next(p);
		if (j)
			job_run(p, j);
		else
			pthread_cond_wait(&p->has_work, &p->lock);
	}
	pool_leave(p);
	return NULL;
}

/* The lock is held. A thread more, if all are busy and there may be one; it needs not be had. */
static void thread_add(struct pool *p)
{
	pthread_t thread;
	unsigned queued = 0;

	for (unsigned i = 0; i < RESOLVER_JOB_MAX; i++)
		queued += p->jobs[i].state == JOB_QUEUED;
	if (p->thread_count == RESOLVER_THREAD_MAX || p->busy_count + queued <= p->thread_count)
		return;
	if (pthread_create(&thread, NULL, thread_main, p))
		return;
	pthread_setname_np(thread, "resolver");
	pthread_detach(thread);
	p->thread_count++;
	p->users++;
}

/* ---- what is remembered ---- */

static void known_set(struct resolver *r, const struct job *j)
{
	struct known *k = &r->known[0];

	for (unsigned i = 0; i < RESOLVER_KNOWN_MAX; i++) {
		if (strcmp(r->known[i].host, j->host) == 0) {
			k = &r->known[i];
			break;
		}
		if (r->known[i].ticket < k->ticket)
			k = &r->known[i];
	}
	memcpy(k->host, j->host, sizeof(k->host));
	k->ips = j->ips;
	k->ticket = j->ticket;
}

static void known_get(const struct resolver *r, const char *host, struct resolver_answer *out)
{
	for (unsigned i = 0; i < RESOLVER_KNOWN_MAX; i++)
		if (strcmp(r->known[i].host, host) == 0) {
			out->ips = r->known[i].ips;
			out->is_remembered = out->ips.count > 0;
		}
}

/* ---- the control thread's side ---- */

struct resolver *resolver_create(resolver_lookup_fn *lookup, struct error *err)
{
	struct resolver *r = calloc(1, sizeof(*r));
	struct pool *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;

	if (!r || !p)
		goto err_memory;
	p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->fd < 0)
		goto err_memory;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->has_work, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->is_idle, &attr);
	pthread_condattr_destroy(&attr);
	p->users = 1;
	p->lookup = lookup;
	r->pool = p;
	return r;

err_memory:
	error_set(err, -ENOMEM, "no memory or file descriptor for resolving names");
	free(p);
	free(r);
	return NULL;
}

void resolver_destroy(struct resolver *r)
{
	struct timespec until;
	struct pool *p;
	int rc = 0;

	if (!r)
		return;
	p = r->pool;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += END_MS_MAX * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&p->lock);
	p->is_ending = true;
	pthread_cond_broadcast(&p->has_work);
	while (p->users > 1 && rc == 0)
		rc = pthread_cond_timedwait(&p->is_idle, &p->lock, &until);
	close(p->fd);
	p->fd = -1;
	pool_leave(p);
	free(r);
}

int resolver_fd(const struct resolver *r)
{
	return r->pool->fd;
}

void resolver_clear(struct resolver *r)
{
	uint64_t count;

	while (read(r->pool->fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

uint64_t resolver_ask(struct resolver *r, const char *host)
{
	struct pool *p = r->pool;
	struct job *free_job = NULL;
	uint64_t ticket = 0;

	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < RESOLVER_JOB_MAX && !free_job; i++)
		if (p->jobs[i].state == JOB_FREE)
			free_job = &p->jobs[i];
	if (free_job && strlen(host) < HOST_BYTES) {
		ticket = ++r->ticket;
		*free_job = (struct job){.state = JOB_QUEUED, .ticket = ticket};
		snprintf(free_job->host, sizeof(free_job->host), "%s", host);
		thread_add(p);
		pthread_cond_signal(&p->has_work);
	}
	if (ticket && p->thread_count == 0) { /* it would never be answered */
		free_job->state = JOB_FREE;
		ticket = 0;
	}
	pthread_mutex_unlock(&p->lock);
	return ticket;
}

/* The lock is held. */
static struct job *job_find(struct pool *p, uint64_t ticket)
{
	for (unsigned i = 0; i < RESOLVER_JOB_MAX; i++)
		if (p->jobs[i].ticket == ticket && p->jobs[i].state != JOB_FREE &&
			p->jobs[i].state != JOB_ABANDONED)
			return &p->jobs[i];
	return NULL;
}

bool resolver_take(struct resolver *r, uint64_t ticket, struct resolver_answer *out)
{
	struct pool *p = r->pool;
	struct job *j;
	bool is_there;

	pthread_mutex_lock(&p->lock);
	j = job_find(p, ticket);
	is_there = j && j->state == JOB_ANSWERED;
	if (is_there) {
		*out = (struct resolver_answer){.error = j->error};
		if (j->rc == 0) {
			out->ips = j->ips;
			known_set(r, j);
		} else {
			known_get(r, j->host, out);
		}
		j->state = JOB_FREE;
	}
	pthread_mutex_unlock(&p->lock);
	return is_there;
}

void resolver_give_up(
	struct resolver *r, uint64_t ticket, const char *why, struct resolver_answer *out)
{
	struct pool *p = r->pool;
	struct job *j;

	*out = (struct resolver_answer){0};
	error_set(&out->error, 0, "%s", why);
	pthread_mutex_lock(&p->lock);
	j = job_find(p, ticket);
	if (j) {
		known_get(r, j->host, out);
		j->state = j->state == JOB_RUNNING ? JOB_ABANDONED : JOB_FREE;
	}
	pthread_mutex_unlock(&p->lock);
}
