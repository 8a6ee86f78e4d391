batch_size = 8
custom_hooks = [
    dict(priority='HIGHEST', type='Logs'),
]
default_hooks = dict(
    checkpoint=None, logger=dict(interval=1, type='LoggerHook'), timer=None)
learning_rate = 0.003
log_processor = dict(window_size=1)
max_steps = 40
model = dict(type='Made')
optim_wrapper = dict(optimizer=dict(lr=0.003, type='SGD'))
resume = False
train_cfg = dict(by_epoch=True, max_epochs=4, val_interval=1)
train_dataloader = dict(
    batch_size=1,
    dataset=dict(length=10, type='Numbers'),
    sampler=dict(shuffle=False, type='DefaultSampler'))
val_cfg = dict()
val_dataloader = dict(
    batch_size=1,
    dataset=dict(length=2, type='Numbers'),
    sampler=dict(shuffle=False, type='DefaultSampler'))
val_evaluator = dict(type='Evaluated')
visualizer = dict(
    type='Visualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend'),
    ])
work_dir = 'work'
