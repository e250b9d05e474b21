//! leasehold for Python: conversion and delivery, nothing about locks.
