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
int exchange_list_run(int argc, char **argv);
int exchange_show_run(int argc, char **argv);
int exchange_create_run(int argc, char **argv);
int exchange_delete_run(int argc, char **argv);
int binding_list_run(int argc, char **argv);
int binding_create_run(int argc, char **argv);
int binding_delete_run(int argc, char **argv);
int queue_list_run(int argc, char **argv);
int queue_show_run(int argc, char **argv);
int queue_create_run(int argc, char **argv);
int queue_delete_run(int argc, char **argv);
int queue_purge_run(int argc, char **argv);
int queue_get_run(int argc, char **argv);
int queue_sync_run(int argc, char **argv);
int vhost_list_run(int argc, char **argv);
int vhost_show_run(int argc, char **argv);
int vhost_create_run(int argc, char **argv);
int vhost_alter_run(int argc, char **argv);
int vhost_delete_run(int argc, char **argv);
int user_list_run(int argc, char **argv);
int user_show_run(int argc, char **argv);
int user_create_run(int argc, char **argv);
int user_alter_run(int argc, char **argv);
int user_delete_run(int argc, char **argv);
int permission_list_run(int argc, char **argv);
int permission_show_run(int argc, char **argv);
int permission_set_run(int argc, char **argv);
int permission_clear_run(int argc, char **argv);
int policy_list_run(int argc, char **argv);
int policy_show_run(int argc, char **argv);
int policy_set_run(int argc, char **argv);
int policy_clear_run(int argc, char **argv);
int definitions_export_run(int argc, char **argv);
int definitions_import_run(int argc, char **argv);
int publish_run(int argc, char **argv);
int consume_run(int argc, char **argv);
int bench_kafka_run(int argc, char **argv);
int bench_amqp_run(int argc, char **argv);
int metrics_run(int argc, char **argv);
int connection_list_run(int argc, char **argv);
int connection_show_run(int argc, char **argv);
int connection_close_run(int argc, char **argv);
int channel_list_run(int argc, char **argv);
int consumer_list_run(int argc, char **argv);
int health_run(int argc, char **argv);

#endif
