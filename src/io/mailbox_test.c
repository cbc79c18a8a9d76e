#include "io/mailbox.h"

#include "base/check.h"
#include "io/thread.h"
#include "tests/test.h"

struct letter {
    struct mail mail; /* first */
    int from, number;
};

static void count_wake(void *ctx)
{
    __atomic_add_fetch((int *)ctx, 1, __ATOMIC_SEQ_CST);
}

TEST(mail_is_taken_in_the_order_in_which_it_was_posted)
{
    struct mailbox m;
    int wakes = 0;
    struct letter letters[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    mailbox_init(&m, count_wake, &wakes);
    expect_null(mailbox_take(&m));
    for (int i = 0; i < 3; i++)
        expect_true(mailbox_post(&m, &letters[i].mail));
    struct mail *mail = mailbox_take(&m);
    for (int i = 0; i < 3; i++, mail = mail->next)
        expect_int(((struct letter *)mail)->number, i);
    expect_null(mail);
    expect_null(mailbox_take(&m));
}

TEST(only_the_first_of_several_wakes_the_loop)
{
    struct mailbox m;
    int wakes = 0;
    struct letter letters[3];
    mailbox_init(&m, count_wake, &wakes);
    mailbox_post(&m, &letters[0].mail);
    mailbox_post(&m, &letters[1].mail);
    expect_int(wakes, 1);
    mailbox_take(&m);
    mailbox_post(&m, &letters[2].mail);
    expect_int(wakes, 2);
}

TEST(a_closed_mailbox_takes_no_mail)
{
    struct mailbox m;
    int wakes = 0;
    struct letter letters[2];
    mailbox_init(&m, count_wake, &wakes);
    mailbox_post(&m, &letters[0].mail);
    expect_true(mailbox_close(&m) == &letters[0].mail);
    expect_false(mailbox_post(&m, &letters[1].mail));
    expect_null(mailbox_take(&m));
    expect_null(mailbox_close(&m));
    expect_int(wakes, 1);
}

enum { POSTERS = 4, LETTERS = 20000 };

struct poster {
    struct mailbox *mailbox;
    struct letter *letters;
    pthread_t thread;
};

static void *post_all(void *ctx)
{
    struct poster *p = ctx;
    for (int i = 0; i < LETTERS; i++)
        mailbox_post(p->mailbox, &p->letters[i].mail);
    return NULL;
}

TEST(nothing_is_lost_when_many_threads_post)
{
    static struct letter letters[POSTERS][LETTERS];
    struct mailbox m;
    struct poster posters[POSTERS];
    int wakes = 0, next[POSTERS] = {0}, total = 0;
    mailbox_init(&m, count_wake, &wakes);
    for (int p = 0; p < POSTERS; p++) {
        for (int i = 0; i < LETTERS; i++)
            letters[p][i] = (struct letter){.from = p, .number = i};
        posters[p] = (struct poster){.mailbox = &m, .letters = letters[p]};
        thread_start(&posters[p].thread, "poster", post_all, &posters[p]);
    }
    while (total < POSTERS * LETTERS)
        for (struct mail *mail = mailbox_take(&m); mail; mail = mail->next, total++) {
            struct letter *letter = (struct letter *)mail;
            expect_int(letter->number, next[letter->from]++);
        }
    for (int p = 0; p < POSTERS; p++)
        pthread_join(posters[p].thread, NULL);
    expect_true(wakes > 0);
}
