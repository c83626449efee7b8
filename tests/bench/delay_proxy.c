/* Let bytes through late, in both directions: what a long line does, and nothing else.

   Owns: the delay. Never: limits a rate, looks at a byte, or drops one.

       cc -O2 -pthread -o delay_proxy delay_proxy.c
       delay_proxy LISTEN_ADDRESS LISTEN_PORT TARGET_ADDRESS TARGET_PORT ONE_WAY_MS

   Two threads for each direction of each connection share a ring: one stamps what comes with the time at which it is
   due, the other waits for that. RING_BYTES of the sender's bytes are under way at most: 32 MiB over 50 ms is 5 Gbit/s. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES (32UL << 20)
#define PIECE_BYTES (128UL << 10)
#define PIECES 65536UL

struct piece {
    double due_s;
    size_t length;
};

struct direction {
    int in, out;
    char *ring;
    size_t written, read; /* bytes, ever */
    struct piece pieces[PIECES];
    size_t queued, taken; /* pieces, ever */
    int ended;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static double one_way_s;
static struct sockaddr_in target;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static void *take_in(void *given)
{
    struct direction *way = given;
    for (;;) {
        pthread_mutex_lock(&way->lock);
        while (way->written - way->read > RING_BYTES - PIECE_BYTES || way->queued - way->taken == PIECES)
            pthread_cond_wait(&way->changed, &way->lock);
        pthread_mutex_unlock(&way->lock);
        size_t at = way->written % RING_BYTES;
        size_t room = RING_BYTES - at < PIECE_BYTES ? RING_BYTES - at : PIECE_BYTES;
        ssize_t got = recv(way->in, way->ring + at, room, 0);
        pthread_mutex_lock(&way->lock);
        if (got > 0) {
            way->written += got;
            way->pieces[way->queued++ % PIECES] = (struct piece){now_s() + one_way_s, got};
        } else {
            way->ended = 1;
        }
        pthread_cond_broadcast(&way->changed);
        pthread_mutex_unlock(&way->lock);
        if (got <= 0)
            return NULL;
    }
}

static void *give_out(void *given)
{
    struct direction *way = given;
    for (;;) {
        pthread_mutex_lock(&way->lock);
        while (way->taken == way->queued && !way->ended)
            pthread_cond_wait(&way->changed, &way->lock);
        if (way->taken == way->queued) {
            pthread_mutex_unlock(&way->lock);
            shutdown(way->out, SHUT_WR);
            return NULL;
        }
        struct piece piece = way->pieces[way->taken % PIECES];
        pthread_mutex_unlock(&way->lock);
        double wait_s = piece.due_s - now_s();
        if (wait_s > 0) {
            struct timespec pause = {(time_t)wait_s, (long)((wait_s - (time_t)wait_s) * 1e9)};
            nanosleep(&pause, NULL);
        }
        char *from = way->ring + way->read % RING_BYTES;
        for (size_t left = piece.length; left;) {
            ssize_t sent = send(way->out, from, left, MSG_NOSIGNAL);
            if (sent <= 0) {
                shutdown(way->in, SHUT_RD);
                return NULL;
            }
            from += sent;
            left -= sent;
        }
        pthread_mutex_lock(&way->lock);
        way->read += piece.length;
        way->taken++;
        pthread_cond_broadcast(&way->changed);
        pthread_mutex_unlock(&way->lock);
    }
}

static void *carry(void *given)
{
    int ends[2] = {(int)(long)given, socket(AF_INET, SOCK_STREAM, 0)}, one = 1;
    pthread_t threads[4];
    struct direction *ways[2];
    if (connect(ends[1], (void *)&target, sizeof target)) {
        close(ends[0]);
        close(ends[1]);
        return NULL;
    }
    for (int way = 0; way < 2; way++) {
        setsockopt(ends[way], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        ways[way] = calloc(1, sizeof *ways[way]);
        ways[way]->ring = malloc(RING_BYTES);
        ways[way]->in = ends[way];
        ways[way]->out = ends[1 - way];
        pthread_mutex_init(&ways[way]->lock, NULL);
        pthread_cond_init(&ways[way]->changed, NULL);
        pthread_create(&threads[2 * way], NULL, take_in, ways[way]);
        pthread_create(&threads[2 * way + 1], NULL, give_out, ways[way]);
    }
    for (int thread = 0; thread < 4; thread++)
        pthread_join(threads[thread], NULL);
    for (int way = 0; way < 2; way++) {
        close(ends[way]);
        free(ways[way]->ring);
        free(ways[way]);
    }
    return NULL;
}

int main(int count, char **words)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (count != 6)
        return fputs("LISTEN_ADDRESS LISTEN_PORT TARGET_ADDRESS TARGET_PORT ONE_WAY_MS\n", stderr), 2;
    signal(SIGPIPE, SIG_IGN);
    inet_pton(AF_INET, words[1], &here.sin_addr);
    here.sin_port = htons(atoi(words[2]));
    target.sin_family = AF_INET;
    inet_pton(AF_INET, words[3], &target.sin_addr);
    target.sin_port = htons(atoi(words[4]));
    one_way_s = atof(words[5]) / 1e3;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&here, sizeof here) || listen(listener, 64))
        return perror("bind"), 1;
    for (;;) {
        pthread_t thread;
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            continue;
        pthread_create(&thread, NULL, carry, (void *)(long)connection);
        pthread_detach(thread);
    }
}
