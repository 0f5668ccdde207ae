import tensorflow as tf

from tfnorm.server.metrics import Metrics


def test_requests_are_counted_and_the_time_of_good_ones_is_kept():
    metrics = Metrics()
    metrics.record("a", "Predict", "GRPC", tf.errors.OK, 0.000_015)
    metrics.record("a", "Predict", "GRPC", tf.errors.UNAVAILABLE, 1.0)
    lines = metrics.page().decode().splitlines()
    assert ':tensorflow:serving:request_count{model_name="a",status="OK"} 1.0' in lines
    assert ':tensorflow:serving:request_count{model_name="a",status="UNAVAILABLE"} 1.0' in lines
    labels = 'API="Predict",entrypoint="GRPC",model_name="a"'
    assert f":tensorflow:serving:request_latency_count{{{labels}}} 1.0" in lines
    assert f":tensorflow:serving:request_latency_sum{{{labels}}} 15.0" in lines
    buckets = [line for line in lines if "latency_bucket" in line]
    assert len(buckets) == 34
    assert buckets[0].endswith("} 0.0")
    assert all(line.endswith("} 1.0") for line in buckets[1:])


def test_each_server_counts_its_own():
    first, second = Metrics(), Metrics()
    first.record("a", "Predict", "REST", tf.errors.OK, 1.0)
    assert "request_count{" not in second.page().decode()
