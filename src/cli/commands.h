/* Every client command's entry, for the table in cli.c. Each gets the arguments behind its own
 * words and returns the exit code. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

int topic_list_run(int argc, char **argv);
int topic_show_run(int argc, char **argv);
int topic_create_run(int argc, char **argv);
int topic_alter_run(int argc, char **argv);
int topic_delete_run(int argc, char **argv);
int group_list_run(int argc, char **argv);
int group_show_run(int argc, char **argv);
int group_delete_run(int argc, char **argv);
int group_reset_run(int argc, char **argv);
int queue_list_run(int argc, char **argv);
int queue_show_run(int argc, char **argv);
int queue_create_run(int argc, char **argv);
int queue_delete_run(int argc, char **argv);
int queue_purge_run(int argc, char **argv);
int publish_run(int argc, char **argv);
int consume_run(int argc, char **argv);
int bench_kafka_run(int argc, char **argv);
int bench_amqp_run(int argc, char **argv);
int metrics_run(int argc, char **argv);
int connection_list_run(int argc, char **argv);
int health_run(int argc, char **argv);

#endif
