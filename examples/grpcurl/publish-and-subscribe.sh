#!/bin/sh
# Publish a message, then receive it in both ways, with nothing but grpcurl. No .proto file is needed: the broker has reflection.
# Run: sh examples/grpcurl/publish-and-subscribe.sh [host:port]
set -eu
address=${1:-${TIDEMARK_ADDRESS:-127.0.0.1:50051}}
broker=tidemark.v1.BrokerService

# `text` is for people; programs send bytes as `payload`, which is base64 in JSON.
grpcurl -plaintext -d '{"queue":"orders","message":{"event":"order.created","text":"{\"id\":42}"}}' "$address" $broker/Publish

# AUTO: a message is done when it was sent. Without stop_at_head it goes on until Ctrl-C.
grpcurl -plaintext -d '{"open":{"queue":"orders","events":["order.*"],"start_at":"START_POSITION_EARLIEST",
  "ack_mode":"ACK_MODE_AUTO","text_view":true,"stop_at_head":true}}' "$address" $broker/Subscribe

# EXPLICIT, the default: a message is done when you say so. `-d @` sends each JSON object that comes in as a frame, so at a
# prompt you type them; here the second one acknowledges the first batch. What is not acknowledged comes again.
{
  echo '{"open":{"queue":"orders","subscriber":"grpcurl","text_view":true}}'
  sleep 2
  echo '{"request_id":1,"settle":{"ack_through_batch_id":1}}'
} | grpcurl -plaintext -d @ "$address" $broker/Subscribe
