#include "response.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "date.h"
#include "path.h"
#include "slice.h"

enum {
    CONTENT_FIELDS = 256,
    RESPONSE_HEAD = URL_ROOM + FIELDS_ROOM + CONTENT_FIELDS + 256,
};

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } known[] = {
        {200, "OK"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].status == status) {
            return known[i].reason;
        }
    }
    return "";
}

bool asks_head(const struct connection *connection)
{
    return slice_is(connection->parser.request.method, "HEAD");
}

bool send_head(const struct connection *connection, const struct response *response)
{
    char date[DATE_TEXT];
    char content[CONTENT_FIELDS] = "";
    char head[RESPONSE_HEAD];
    if (response->type != NULL) {
        snprintf(content, sizeof content, "Content-Type: %s\r\nContent-Length: %jd\r\n", response->type,
                 (intmax_t)response->length);
    }
    int length = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s\r\n", response->status,
                          reason(response->status), date_format(connection->now, date), response->fields,
                          connection->parser.request.closes ? "Connection: close\r\n" : "", content);
    const bool more = response->type != NULL && response->length > 0 && !asks_head(connection);
    return send_all(connection, head, (size_t)length, more ? MSG_MORE : 0);
}

bool respond(const struct connection *connection, const struct response *response, const char *content)
{
    return send_head(connection, response) &&
           (asks_head(connection) || send_all(connection, content, (size_t)response->length, 0));
}

bool respond_status(const struct connection *connection, int status, const char *fields)
{
    char text[64];
    const int length = snprintf(text, sizeof text, "%d %s\n", status, reason(status));
    const struct response response = {status, fields, "text/plain; charset=utf-8", length};
    return respond(connection, &response, text);
}
