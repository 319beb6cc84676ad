/*
 * A registrar that answers calls for whoever is registered with it (RFC 3261), over UDP 5060, in memory only:
 *
 *   REGISTER         binds the contact to the address of record, or, without a contact, tells which one is bound (section 10.3)
 *   INVITE           200 if the callee is registered, repeated until its ACK comes (13.3.1.4); else 404
 *   INFO and BYE     belong to a call, or 481
 *
 * Each answer within a call says in `Number:` how many of the call's requests have been answered. A request that comes again gets its
 * answer again, and does not count again (17.2).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 5060, MESSAGE = 4096, VALUE = 256, ANSWER = MESSAGE + 8 * VALUE, USERS = 16, CALLS = 16, ANSWERS = 64, T1_MS = 500, T2_MS = 4000 };

struct user {
  char record[VALUE], contact[VALUE];
  long long until;
};
struct call {
  char id[VALUE], tag[VALUE];
  int number, is_acknowledged;
  /* The answer to the INVITE, its receiver, and when it is due again. */
  char answer[ANSWER];
  struct sockaddr_in6 peer;
  long long due, wait;
};
/* To whom a request was answered, and how. */
struct answer {
  char branch[VALUE], method[VALUE], text[ANSWER];
};

static struct user users[USERS];
static struct call calls[CALLS];
static struct answer answers[ANSWERS];
static unsigned answered, tags;
static int fd;

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* The value of the first header with this name; "" without one. */
static const char *header(const char *message, const char *name, char *into) {
  size_t length = strlen(name);
  into[0] = 0;
  for (const char *line = strstr(message, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
    const char *at = line + 2;
    if (strncasecmp(at, name, length) != 0 || at[length] != ':') continue;
    at += length + 1;
    at += strspn(at, " ");
    snprintf(into, VALUE, "%.*s", (int)strcspn(at, "\r"), at);
    break;
  }
  return into;
}

/* What follows `name` in a header's value, up to the next delimiter; "" where it is not there. */
static const char *parameter(const char *value, const char *name, char *into) {
  const char *at = strstr(value, name);
  into[0] = 0;
  if (at) snprintf(into, VALUE, "%.*s", (int)strcspn(at + strlen(name), ";> ,"), at + strlen(name));
  return into;
}

/* `sip:one@10.77.0.1` of an address with or without a name; into must not be `value`. */
static const char *uri(const char *value, char *into) {
  const char *open = strchr(value, '<');
  return parameter(open ? open : value, open ? "<" : "", into);
}

/* @returns the one bound to this address of record; with `make`, a free place where there is none */
static struct user *user_of(const char *record, int make) {
  struct user *free = NULL;
  for (struct user *one = users; one < users + USERS; one++) {
    if (one->until <= now_ms()) free = one;
    else if (strcmp(one->record, record) == 0) return one;
  }
  return make ? free : NULL;
}

/* @param tag ours; "" for an INVITE, which has none yet */
static struct call *call_of(const char *id, const char *tag) {
  for (struct call *one = calls; one < calls + CALLS; one++)
    if (one->id[0] && strcmp(one->id, id) == 0 && strcmp(one->tag, tag) == 0) return one;
  return NULL;
}

/* Writes what every answer has: status, the request's Via headers in their order, From, To with our tag, Call-ID, CSeq. */
static int begin(char *into, const char *request, const char *status, const char *tag) {
  char value[VALUE];
  int used = sprintf(into, "SIP/2.0 %s\r\n", status);
  for (const char *line = strstr(request, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
    if (strncasecmp(line + 2, "Via:", 4) != 0) continue;
    used += snprintf(into + used, 2 * VALUE, "%.*s\r\n", (int)strcspn(line + 2, "\r"), line + 2);
    if (used > MESSAGE / 2) break;
  }
  used += sprintf(into + used, "From: %s\r\n", header(request, "From", value));
  used += sprintf(into + used, "To: %s%s%s\r\n", header(request, "To", value), *tag ? ";tag=" : "", tag);
  used += sprintf(into + used, "Call-ID: %s\r\n", header(request, "Call-ID", value));
  return used + sprintf(into + used, "CSeq: %s\r\n", header(request, "CSeq", value));
}

static void answer_register(const char *request, char *out) {
  char value[VALUE], record[VALUE], contact[VALUE], expires[VALUE], tag[VALUE];
  uri(header(request, "To", value), record);
  uri(header(request, "Contact", value), contact);
  header(request, "Expires", expires);
  struct user *user = user_of(record, contact[0] != 0);
  sprintf(tag, "registrar%u", ++tags);
  if (contact[0] && !user) {
    sprintf(out + begin(out, request, "503 Service Unavailable", tag), "Content-Length: 0\r\n\r\n");
    return;
  }
  if (contact[0]) {
    strcpy(user->record, record);
    strcpy(user->contact, contact);
    user->until = now_ms() + 1000LL * (expires[0] ? atoi(expires) : 3600);
  }
  int used = begin(out, request, "200 OK", tag);
  if (user && user->until > now_ms())
    used += sprintf(out + used, "Contact: <%s>;expires=%lld\r\n", user->contact, (user->until - now_ms()) / 1000);
  sprintf(out + used, "Content-Length: 0\r\n\r\n");
}

static void answer_invite(const char *request, const struct sockaddr_in6 *peer, char *out) {
  char value[VALUE], record[VALUE];
  struct call *call = calls;
  while (call < calls + CALLS && call->id[0]) call++;
  const char *status = call == calls + CALLS                                        ? "486 Busy Here"
                       : user_of(uri(header(request, "To", value), record), 0) == 0 ? "404 Not Found"
                                                                                    : NULL;
  if (status) {
    sprintf(out + begin(out, request, status, "none"), "Content-Length: 0\r\n\r\n");
    return;
  }
  memset(call, 0, sizeof *call);
  header(request, "Call-ID", call->id);
  sprintf(call->tag, "call%u", ++tags);
  int used = begin(out, request, "200 OK", call->tag);
  sprintf(out + used, "Contact: <sip:answer@counter>\r\nNumber: %d\r\nContent-Length: 0\r\n\r\n", ++call->number);
  strcpy(call->answer, out);
  call->peer = *peer;
  call->wait = T1_MS;
  call->due = now_ms() + T1_MS;
}

static void answer_in_call(const char *request, const char *method, char *out) {
  char id[VALUE], to[VALUE], tag[VALUE];
  struct call *call = call_of(header(request, "Call-ID", id), parameter(header(request, "To", to), ";tag=", tag));
  if (!call) {
    sprintf(out + begin(out, request, "481 Call/Transaction Does Not Exist", ""), "Content-Length: 0\r\n\r\n");
    return;
  }
  sprintf(out + begin(out, request, "200 OK", ""), "Number: %d\r\nContent-Length: 0\r\n\r\n", ++call->number);
  if (strcmp(method, "BYE") == 0) call->id[0] = 0;
}

static void serve(char *request, const struct sockaddr_in6 *peer) {
  static char out[ANSWER];
  char via[VALUE], branch[VALUE], id[VALUE], to[VALUE], tag[VALUE], method[VALUE];
  snprintf(method, sizeof method, "%.*s", (int)strcspn(request, " \r\n"), request);
  if (strcmp(method, "ACK") == 0) {
    struct call *call = call_of(header(request, "Call-ID", id), parameter(header(request, "To", to), ";tag=", tag));
    if (call) call->is_acknowledged = 1;
    return;
  }
  parameter(header(request, "Via", via), ";branch=", branch);
  for (struct answer *one = answers; one < answers + ANSWERS; one++) {
    if (!branch[0] || strcmp(one->branch, branch) != 0 || strcmp(one->method, method) != 0) continue;
    sendto(fd, one->text, strlen(one->text), 0, (const struct sockaddr *)peer, sizeof *peer);
    return;
  }
  if (strcmp(method, "REGISTER") == 0) answer_register(request, out);
  else if (strcmp(method, "INVITE") == 0) answer_invite(request, peer, out);
  else if (strcmp(method, "INFO") == 0 || strcmp(method, "BYE") == 0) answer_in_call(request, method, out);
  else sprintf(out + begin(out, request, "501 Not Implemented", ""), "Content-Length: 0\r\n\r\n");
  struct answer *kept = &answers[answered++ % ANSWERS];
  strcpy(kept->branch, branch);
  strcpy(kept->method, method);
  strcpy(kept->text, out);
  sendto(fd, kept->text, strlen(kept->text), 0, (const struct sockaddr *)peer, sizeof *peer);
}

/* Answers to INVITE that nobody has acknowledged go again. @returns how long until the next one, ms; -1: there is none */
static int repeat(void) {
  long long next = -1, now = now_ms();
  for (struct call *one = calls; one < calls + CALLS; one++) {
    if (!one->id[0] || one->is_acknowledged) continue;
    if (one->due <= now) {
      sendto(fd, one->answer, strlen(one->answer), 0, (struct sockaddr *)&one->peer, sizeof one->peer);
      one->wait = one->wait * 2 < T2_MS ? one->wait * 2 : T2_MS;
      one->due = now + one->wait;
    }
    if (next < 0 || one->due - now < next) next = one->due - now;
  }
  return next;
}

int main(void) {
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
  fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0) {
    perror("sip");
    return 1;
  }
  /* Whoever started it knows now that it listens. */
  if (fork() != 0) return 0;
  for (;;) {
    static char in[MESSAGE];
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    struct sockaddr_in6 peer;
    socklen_t size = sizeof peer;
    poll(&polled, 1, repeat());
    if (polled.revents == 0) continue;
    ssize_t length = recvfrom(fd, in, sizeof in - 1, 0, (struct sockaddr *)&peer, &size);
    if (length <= 0) continue;
    in[length] = 0;
    serve(in, &peer);
  }
}
